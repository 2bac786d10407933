// Readings of personal health devices. The package of the HL7 Personal Health Device IG (hl7.fhir.uv.phd) cannot be had here, so these profiles
// restate its constraints rule by rule, as its sources have them (HL7/phd, commit 5af8412, version 2.0.0); resources claim its canonical
// and ours beside it, and only where the source said all of it. Each rule names the profile that it is of.
// docs/reference/profiles.md says what is left out and how the restatement was checked.

RuleSet: StatedByDevice(path)
* {path}.coding ^slicing.discriminator.type = #value
* {path}.coding ^slicing.discriminator.path = "system"
* {path}.coding ^slicing.rules = #open
* {path}.coding contains measurementStatus 1..1
* {path}.coding[measurementStatus].system 1..1
* {path}.coding[measurementStatus].system = $measurement-status (exactly)
* {path}.coding[measurementStatus].code 1..1

Profile: KineHubPhdObservation
Parent: Observation
Id: kinehub-phd-observation
Title: "个人健康设备读数 Reading of a personal health device"
Description: "What every reading has in common that a personal health gateway received from a device (PhdBaseObservation). 个人健康设备读数的共同部分。"
* ^abstract = true
* . obeys kh-label
// PhdBaseObservation: test data say so, once
* meta.security ^slicing.discriminator[0].type = #value
* meta.security ^slicing.discriminator[0].path = "system"
* meta.security ^slicing.discriminator[1].type = #value
* meta.security ^slicing.discriminator[1].path = "code"
* meta.security ^slicing.rules = #open
* meta.security contains test 0..1
* meta.security[test].system 1..1
* meta.security[test].system = $act-reason (exactly)
* meta.security[test].code 1..1
* meta.security[test].code = #HTEST (exactly)
// PhdBaseObservation: the gateway that received it
* extension contains http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice named gatewayDevice 1..1
* extension[gatewayDevice].value[x] only Reference(KineHubPhgDevice)
// PhdBaseObservation: the category of readings of personal health devices, once
* category ^slicing.discriminator[0].type = #value
* category ^slicing.discriminator[0].path = "coding.code"
* category ^slicing.discriminator[1].type = #value
* category ^slicing.discriminator[1].path = "coding.system"
* category ^slicing.rules = #open
* category contains phd 1..1
* category[phd].coding 1..*
* category[phd].coding.system 1..1
* category[phd].coding.system = $phd-categories (exactly)
* category[phd].coding.code 1..1
* category[phd].coding.code = #phd (exactly)
// PhdBaseObservation, mdc-1: a code of IEEE 11073. Theirs warns where there is none; what claims it here has one
* code.coding ^slicing.discriminator.type = #value
* code.coding ^slicing.discriminator.path = "system"
* code.coding ^slicing.rules = #open
* code.coding contains mdc 1..*
* code.coding[mdc].system 1..1
* code.coding[mdc].system = $mdc (exactly)
* code.coding[mdc].code 1..1
// PhdBaseObservation: subject 1..1, a Patient (or the device itself: of a device there is no record)
* insert OfResident
// PhdBaseObservation: effective[x] 1..1, dateTime or Period
* effective[x] 1..1
* effective[x] only dateTime or Period
// PhdBaseObservation: what interprets it is the device's measurement status
* insert StatedByDevice(interpretation)
// PhdBaseObservation: device 1..1, a literal reference
* device 1..1
* device only Reference(KineHubPhdDevice)
* device.reference 1..1
// PhdBaseObservation: why there is no value, in R4's own list
* dataAbsentReason.coding from http://hl7.org/fhir/ValueSet/data-absent-reason (required)
// PhdBaseObservation: a supplemental type is a code of IEEE 11073
* component ^slicing.discriminator.type = #value
* component ^slicing.discriminator.path = "code"
* component ^slicing.rules = #open
* component contains supplementalType 0..*
* component[supplementalType].code = $mdc#68193
* component[supplementalType].value[x] only CodeableConcept
* component[supplementalType].valueCodeableConcept.coding.system 1..1
* component[supplementalType].valueCodeableConcept.coding.system = $mdc (exactly)
* component[supplementalType].valueCodeableConcept.coding.code 1..1
* component[supplementalType].dataAbsentReason 0..0
// PhdBaseObservation: what it is derived from, or has as members, is another reading
* derivedFrom only Reference(KineHubPhdObservation)
* hasMember only Reference(KineHubPhdObservation)
// Ours
* extension contains QualityFlag named qualityFlag 0..* and Modality named modality 0..1 and Note named note 0..1 and OriginalValue named originalValue 0..1
* identifier.system 1..1
* identifier.value 1..1

Profile: KineHubPhdNumericObservation
Parent: KineHubPhdObservation
Id: kinehub-phd-numeric-observation
Title: "个人健康设备数值 Figure of a personal health device"
Description: "A reading that is one figure (PhdNumericObservation). 个人健康设备的一个数值。"
// PhdNumericObservation: a Quantity in UCUM
* value[x] only Quantity
* insert InUcum

Profile: KineHubPhdCompoundObservation
Parent: KineHubPhdObservation
Id: kinehub-phd-compound-observation
Title: "个人健康设备分项数值 Figures of a personal health device"
Description: "A reading in parts, such as a blood pressure (PhdCompoundNumericObservation). 个人健康设备的分项数值，如血压。"
// PhdCompoundNumericObservation: no value of its own
* value[x] 0..0
// PhdCompoundNumericObservation: each part has one code of IEEE 11073, a Quantity in UCUM or why there is none, and the device's own status
* obeys kh-phd-part
* component.value[x] only Quantity or CodeableConcept
* component.dataAbsentReason.coding from http://hl7.org/fhir/ValueSet/data-absent-reason (required)
* insert StatedByDevice(component.interpretation)

Invariant: kh-phd-part
Description: "PhdCompoundNumericObservation: a part has one code of IEEE 11073, and its Quantity a value and a UCUM unit"
Expression: "component.all(code.coding.where(system = 'urn:iso:std:iso:11073:10101' and code.exists()).count() = 1 and value.ofType(Quantity).all(value.exists() and system = 'http://unitsofmeasure.org' and code.exists()))"
Severity: #error

RuleSet: Identified
// PhdDevice, PhgDevice: an identifier; an EUI-64 says that it is one
* identifier 1..*
* identifier ^slicing.discriminator.type = #pattern
* identifier ^slicing.discriminator.path = "type"
* identifier ^slicing.rules = #open
* identifier contains systemId 0..1
* identifier[systemId].type 1..1
* identifier[systemId].type = $device-identifiers#SYSID
* identifier[systemId].system = "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680" (exactly)
// PhdDevice, PhgDevice: no device is above it
* parent 0..0
// PhdDevice, PhgDevice: versions that say what they are of, without parts. Theirs allows others beside them, ours does not
* version 1..*
* version.type 1..1
* version.type from DeviceVersionTypes (required)
* version.component 0..0
// PhdDevice, PhgDevice: a specialization of IEEE 11073-104xx
* specialization 1..*
* specialization.systemType from DeviceSpecializations (required)

RuleSet: OfKind(code)
* type 1..1
* type.coding ^slicing.discriminator.type = #pattern
* type.coding ^slicing.discriminator.path = "$this"
* type.coding ^slicing.rules = #open
* type.coding contains kind 1..1
* type.coding[kind] = $mdc#{code}

Profile: KineHubPhdDevice
Parent: KineHubDevice
Id: kinehub-phd-device
Title: "个人健康设备 Personal health device"
Description: "A device that measured, as its gateway describes it (PhdDevice). 测量用的个人健康设备。"
* insert Identified
// PhdDevice: manufacturer and model
* manufacturer 1..1
* modelNumber 1..1
// PhdDevice: type MDC_MOC_VMS_MDS_SIMP
* insert OfKind(65573)
// PhdDevice: a specialization with the version of its standard. Theirs allows others beside it, ours does not
* specialization.version 1..1

Profile: KineHubPhgDevice
Parent: KineHubDevice
Id: kinehub-phg-device
Title: "个人健康网关 Personal health gateway"
Description: "The gateway that received a reading from a personal health device (PhgDevice). 接收个人健康设备读数的网关。"
* insert Identified
// PhgDevice: type MDC_MOC_VMS_MDS_AHD
* insert OfKind(531981)

// The IG's lists, as far as its profiles bind them

ValueSet: DeviceSpecializations
Id: device-specialization
Title: "设备专用标准 Device specializations"
Description: "DeviceTypes11073MDC: the specializations of IEEE 11073-104xx, without the one code of a system that the IG made up for it."
* $mdc#528384
* $mdc#528385
* $mdc#528388
* $mdc#528390
* $mdc#528391
* $mdc#528392
* $mdc#528397
* $mdc#528399
* $mdc#528401
* $mdc#528402
* $mdc#528403
* $mdc#528404
* $mdc#528405
* $mdc#528406
* $mdc#528408
* $mdc#528409
* $mdc#528412
* $mdc#528425
* $mdc#528426
* $mdc#528455
* $mdc#528456
* $mdc#528457
* $mdc#528484
* $mdc#528501
* $mdc#528502
* $mdc#528503
* $mdc#528504
* $mdc#528505
* $mdc#528506
* $mdc#528507
* $mdc#528508
* $mdc#528509
* $mdc#528510
* $mdc#528511
* $mdc#528512
* $mdc#528513
* $mdc#528514
* $mdc#528524
* $mdc#528525
* $mdc#528532
* $mdc#528533
* $mdc#528534
* $mdc#528535
* $mdc#528536

ValueSet: DeviceVersionTypes
Id: device-version-type
Title: "设备版本的种类 Types of a device's versions"
Description: "MDCDeviceVersionTypes: hardware, software, firmware, protocol, Continua and nomenclature."
* $mdc#531974
* $mdc#531975
* $mdc#531976
* $mdc#531977
* $mdc#532352
* $mdc#67912
