// What was measured. R4's vital signs keep R4's own profiles.

Invariant: kh-label
Description: "The data class that a resident grants or withholds is on the resource"
Expression: "meta.security.where(system = 'https://kinehub.org/fhir/CodeSystem/data-class').exists()"
Severity: #error

RuleSet: Recorded
* . obeys kh-label
* extension contains QualityFlag named qualityFlag 0..* and Modality named modality 0..1
* identifier.system 1..1
* identifier.value 1..1

RuleSet: OfResident
* subject 1..1
* subject only Reference(Patient)
* subject.reference 1..1

RuleSet: OfIpsResident
* subject 1..1
* subject only Reference($ips-patient)

RuleSet: InUcum
* valueQuantity.value 1..1
* valueQuantity.system 1..1
* valueQuantity.system = $ucum
* valueQuantity.code 1..1

Profile: KineHubMeasurement
Parent: Observation
Id: kinehub-measurement
Title: "测量 Measurement"
Description: "One measured value of the standard that no profile of R4 itself is for: laboratory, examination, test item. 没有 R4 自带 profile 的一个测量值。"
* insert Recorded
* insert OfResident
* extension contains Note named note 0..1 and OriginalValue named originalValue 0..1
* category 1..*
* code from $measures (required)
* effective[x] 1..1
* effective[x] only dateTime or Period
* value[x] only Quantity
* insert InUcum

Profile: KineHubBodyComposition
Parent: Observation
Id: kinehub-body-composition
Title: "身体成分 Body composition"
Description: "One weighing: the panel of everything that it measured. 一次称量的全部结果。"
* insert Recorded
* insert OfResident
* code = $record#body-composition
* category 1..*
* effective[x] 1..1
* effective[x] only dateTime or Period
* value[x] 0..0
* hasMember 1..*
* hasMember only Reference(Observation)

Profile: KineHubSampled
Parent: Observation
Id: kinehub-sampled
Title: "采样曲线 Samples"
Description: "One channel of a session's samples, made when it is read. 一条运动采样曲线。"
* . obeys kh-label
* insert OfResident
* category 1..*
* code from $records (required)
* effective[x] 1..1
* effective[x] only dateTime or Period
* value[x] only SampledData
* valueSampledData.extension contains SamplingMethod named samplingMethod 0..1
* derivedFrom 1..1
* derivedFrom only Reference(KineHubSession)
