// Sessions and days. The package of the HL7 Physical Activity IG 1.0.1 (hl7.fhir.us.physical-activity) cannot be had here, so these profiles
// restate its constraints rule by rule; resources claim its canonical first, ours beside it. Each rule names the profile that it is of.
// What the IG derives from US Core is R4 with Patient as subject here. docs/reference/profiles.md says how the restatement was checked.

Invariant: kh-pa-named
Description: "PA-ident-1 and PA-ident-2: a person or organization is a reference, or an identifier and a name"
Expression: "reference.exists() or (identifier.exists() and display.exists())"
Severity: #error

// reference-rest-or-logical; the identifier is of the one system that the guide knows
RuleSet: Named(path)
* {path} obeys kh-pa-named
* {path}.identifier.system = "http://hl7.org/fhir/sid/us-npi" (exactly)
* {path}.identifier.value 1..1

// Every profile of the guide: not allowed
RuleSet: Plain
* implicitRules 0..0
* modifierExtension 0..0

// A note says who wrote it and when
RuleSet: Signed
* note.author[x] 1..1
* note.author[x] only Reference
* note.time 1..1

Invariant: kh-pa-day
Description: "pa-observation-base: a time is known to the day at least"
Expression: "(effective.ofType(dateTime) | effective.ofType(Period).start | effective.ofType(Period).end).all($this.toString().length() >= 10)"
Severity: #error

RuleSet: OfFigure
// Ours: its local code is one of those that the guide lists
* code.coding ^slicing.discriminator.type = #value
* code.coding ^slicing.discriminator.path = "system"
* code.coding ^slicing.rules = #open
* code.coding contains figure 0..*
* code.coding[figure] from ActivityFigures (required)
* code.coding[figure].system 1..1
* code.coding[figure].system = $measure

Profile: KineHubActivity
Parent: Observation
Id: kinehub-activity
Title: "身体活动 Physical activity"
Description: "What every Observation of physical activity has in common (pa-observation-base). 身体活动观察的共同部分。"
* ^abstract = true
* . obeys kh-label and kh-pa-day
// pa-observation-base: status is final, amended, corrected or entered-in-error
// (its words and its value set say so; what it binds is R4's own)
* status from ActivityStatus (required)
// pa-observation-base: both categories
* category 2..*
* category ^slicing.discriminator.type = #pattern
* category ^slicing.discriminator.path = "$this"
* category ^slicing.rules = #open
* category contains activity 1..1 and physicalActivity 1..1
* category[activity] = $observation-category#activity
* category[physicalActivity] = $pa#PhysicalActivity
// pa-observation-base: subject 1..1, a REST reference to a Patient
* insert OfResident
// pa-observation-base: effective[x] 1..1, dateTime or Period, a Period with both ends
* effective[x] 1..1
* effective[x] only dateTime or Period
* effectivePeriod.start 1..1
* effectivePeriod.end 1..1
// pa-observation-base: value[x] is a CodeableConcept or a Quantity with value, UCUM system and code
* value[x] only CodeableConcept or Quantity
* insert InUcum
* valueQuantity.comparator 0..0
// pa-observation-base: performer is a person
* performer only Reference(Patient or Practitioner or PractitionerRole or RelatedPerson)
* insert Named(performer)
// pa-observation-base: not allowed
* insert Plain
* focus 0..0
* specimen 0..0
// pa-observation-base: a note is a person's
* insert Signed
* note.author[x] only Reference(Practitioner or Patient or RelatedPerson)
* insert Named(note.authorReference)
// Ours
* extension contains QualityFlag named qualityFlag 0..* and Modality named modality 0..1 and Note named note 0..1

Profile: KineHubSession
Parent: KineHubActivity
Id: kinehub-session
Title: "运动记录 Exercise session"
Description: "One bout of exercise; its figures are members (pa-observation-activity-group). 一次运动，各项数值是它的成员。"
// pa-observation-activity-group: code PAPanel
* code.coding ^slicing.discriminator.type = #pattern
* code.coding ^slicing.discriminator.path = "$this"
* code.coding ^slicing.rules = #open
* code.coding contains panel 1..1 and session 0..1
* code.coding[panel] = $pa#PAPanel
// Ours
* code.coding[session] = $record#session
// pa-observation-activity-group: no value
* valueQuantity 0..0
* value[x] 0..0
// pa-observation-activity-group: at least one member, each an activity measure
* hasMember 1..*
* hasMember only Reference(KineHubSessionMeasure)
* hasMember.reference 1..1
// Ours
* extension contains Title named title 0..1 and Indoor named indoor 0..1 and Venue named venue 0..1 and Coach named coach 0..1 and
    Programme named programme 0..1 and PoolLength named poolLength 0..1 and SubSport named subSport 0..1

Profile: KineHubSessionMeasure
Parent: KineHubActivity
Id: kinehub-session-measure
Title: "运动数值 Session measure"
Description: "One figure of a session, its sport, or one of its laps (pa-observation-activity-measure). 一次运动的一项数值、项目或单圈。"
// pa-observation-activity-measure: code from the IG's list, extensible: what it has no code for has a local one
* code from ActivityMeasures (extensible)
* insert OfFigure
// Ours: a lap has its figures as components
* component.value[x] only Quantity
* component.code from $measures (required)
* extension contains OriginalValue named originalValue 0..1

Profile: KineHubDayMeasure
Parent: KineHubActivity
Id: kinehub-day-measure
Title: "按日数值 Day measure"
Description: "A figure of a day or a longer time (pa-observation-time-measure). 一日或更长时间的一项数值。"
// pa-observation-time-measure: code from the IG's list, extensible
* code from TimeMeasures (extensible)
* insert OfFigure
// pa-observation-time-measure: a Quantity
* value[x] only Quantity
// pa-observation-time-measure: how long the device was worn, as an optional component in percent
* component ^slicing.discriminator.type = #pattern
* component ^slicing.discriminator.path = "code"
* component ^slicing.rules = #open
* component contains percentActive 0..1
* component[percentActive].code = $pa#DeviceActivePercentage
* component[percentActive].value[x] only Quantity
* component[percentActive].valueQuantity = $ucum#%
* component[percentActive].valueQuantity.value 1..1
// Ours
* extension contains OriginalValue named originalValue 0..1

// The IG's lists, as far as its profiles bind them

ValueSet: ActivityStatus
Id: activity-status
Title: "身体活动观察的状态 Status of activity"
Description: "pa-observation-base: the statuses of an Observation that is there to be used."
* http://hl7.org/fhir/observation-status#final
* http://hl7.org/fhir/observation-status#amended
* http://hl7.org/fhir/observation-status#corrected
* http://hl7.org/fhir/observation-status#entered-in-error

ValueSet: ActivityMeasures
Id: activity-measure
Title: "单次运动的数值 Measures of an activity"
Description: "pa-observation-activity-measure: the codes of figures of one activity."
* $loinc#73985-4
* $loinc#55411-3
* $loinc#77592-4
* $loinc#77593-2
* $loinc#55425-3
* $loinc#55426-1
* $loinc#55424-6
* $pa#Experience

ValueSet: TimeMeasures
Id: time-measure
Title: "按时段的数值 Measures of a time"
Description: "pa-observation-time-measure: the codes of figures of a day or a longer time."
* $loinc#41950-7
* $loinc#8873-2
* $loinc#40443-4
* $loinc#41979-6

// Ours: every figure that these profiles are claimed of. A test compares it with the mappings.

ValueSet: ActivityFigures
Id: activity-figure
Title: "身体活动的指标 Figures of activity"
Description: "Measures of the standard that a session measure or a day measure may be of. 单次运动和按日数值可用的指标。"
* $measure#resting-heart-rate
* $measure#steps
* $measure#steps-day
* $measure#duration
* $measure#moderate-minutes
* $measure#vigorous-minutes
* $measure#hr-mean
* $measure#hr-peak
* $measure#energy
* $measure#energy-day
* $measure#distance
* $measure#swim-distance
* $measure#distance-other
* $measure#power-mean
* $measure#met
* $measure#rpe
* $measure#floors
* $measure#hr-peak-day
* $measure#elapsed-time
* $measure#hr-lowest
* $measure#power-peak
* $measure#cadence
* $measure#strokes
* $measure#ascent
* $measure#distance-day
* $measure#energy-active-day
* $measure#active-minutes-day
* $measure#moderate-minutes-day
* $measure#vigorous-minutes-day
* $measure#hr-mean-day
* $measure#hr-lowest-day
