// Tests, visits, devices

Profile: KineHubFitnessReport
Parent: DiagnosticReport
Id: kinehub-fitness-report
Title: "国民体质测定 National physical fitness test"
Description: "One visit of a national physical fitness test with the raw values of its items; no grade is made up. 一次国民体质测定。"
* insert Recorded
* insert OfResident
* extension contains Edition named edition 0..1 and Note named note 0..1
* code = $record#fitness-test
* effective[x] 1..1
* performer 1..*
* result only Reference(Observation)

Profile: KineHubCheckIn
Parent: Encounter
Id: kinehub-check-in
Title: "出入场 Check-in"
Description: "A visit through a venue's gate. 一次场馆出入。"
* insert Recorded
* insert OfResident
* extension contains CheckInMethod named checkInMethod 0..1 and Note named note 0..1
* class = $act-code#AMB
* period 1..1
* period.start 1..1
* serviceProvider 1..1

Profile: KineHubDevice
Parent: $ips-device
Id: kinehub-device
Title: "设备 Device"
Description: "The device a record came from, as the record's source describes it. 数据来源设备。"
* . obeys kh-label
* patient 1..1
* identifier.system 1..1
* identifier.value 1..1

Profile: KineHubProvenance
Parent: Provenance
Id: kinehub-provenance
Title: "来源 Provenance"
Description: "Where the resources of one record came from, through what, and the SHA-256 of the original. 一条记录的来源。"
* . obeys kh-label
* extension contains MadeBy named madeBy 1..1
* agent ^slicing.discriminator.type = #pattern
* agent ^slicing.discriminator.path = "type"
* agent ^slicing.rules = #open
* agent contains author 1..1 and assembler 1..1 and performer 0..1
* agent[author].type = $participant-type#author
* agent[author].who only Reference(Organization)
* agent[assembler].type = $participant-type#assembler
* agent[performer].type = $participant-type#performer
* agent[performer].who only Reference(Device)
* entity 0..1
* entity.role = #source
* entity.what.identifier 1..1
