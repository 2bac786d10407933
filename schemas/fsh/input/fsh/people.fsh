// Residents, their consents, and the directory. What IPS 2.0.0 has a profile for is derived from it.

Profile: KineHubPatient
Parent: $ips-patient
Id: kinehub-patient
Title: "居民 Resident"
Description: "A resident, with national identifiers (2.16.156.10011) and the numbers that parties know them by. 居民。"
* . obeys kh-label
* extension contains TimeZone named timeZone 0..1
* identifier.type 1..1
* identifier.system 1..1
* identifier.value 1..1
* gender.extension contains GenderCode named genderCode 0..1
* address.extension contains Division named division 0..1

Profile: KineHubConsent
Parent: Consent
Id: kinehub-consent
Title: "授权 Consent"
Description: "What a resident lets whom see, for what purpose, until when. What is not permitted is denied. 居民的授权；未允许的即为拒绝。"
* extension contains WithdrawnAt named withdrawnAt 0..1
* patient 1..1
* patient only Reference(Patient)

Profile: KineHubOrganization
Parent: $ips-organization
Id: kinehub-organization
Title: "机构 Organization"
Description: "A party that sends or receives, or a part of one. 收发数据的机构。"
* type from $party-kinds (extensible)
* name 1..1

Profile: KineHubLocation
Parent: Location
Id: kinehub-location
Title: "场馆 Location"
Description: "A venue that a record may name: the text in a record and the entry's name or identifier are the same. 场馆。"
* identifier.system 1..1
* identifier.value 1..1
* name 1..1
* address.extension contains Division named division 0..1

Profile: KineHubPractitioner
Parent: $ips-practitioner
Id: kinehub-practitioner
Title: "从业人员 Practitioner"
Description: "A coach, tester, physician or nurse whom a record may name. 教练、测试员、医护人员。"
* identifier.system 1..1
* identifier.value 1..1
* name 1..*

Profile: KineHubPractitionerRole
Parent: $ips-practitioner-role
Id: kinehub-practitioner-role
Title: "从业角色 Practitioner role"
Description: "What somebody does at an organization or a venue. 在机构或场馆的角色。"
* practitioner 1..1

Profile: KineHubHealthcareService
Parent: HealthcareService
Id: kinehub-healthcare-service
Title: "服务 Healthcare service"
Description: "A course or service that a venue offers. 场馆提供的课程或服务。"
* name 1..1

// Examples of what no record makes

Instance: example-location
InstanceOf: KineHubLocation
Title: "游泳馆 A pool"
Usage: #example
* identifier.system = "https://gym.example/sites"
* identifier.value = "V-1"
* name = "东湖健身中心游泳馆"
* address.extension[division].valueCode = #310110009

Instance: example-practitioner
InstanceOf: KineHubPractitioner
Title: "教练 A coach"
Usage: #example
* identifier.system = "https://gym.example/staff"
* identifier.value = "C-1"
* name.text = "李明"

Instance: example-practitioner-role
InstanceOf: KineHubPractitionerRole
Title: "教练在游泳馆 The coach at the pool"
Usage: #example
* practitioner = Reference(example-practitioner)
* location = Reference(example-location)
* code.text = "社会体育指导员"

Instance: example-healthcare-service
InstanceOf: KineHubHealthcareService
Title: "慢病运动课 A course"
Usage: #example
* name = "慢病运动课"
* location = Reference(example-location)
