// Prescriptions and referrals restate the HL7 Physical Activity IG 1.0.1 as activity.fsh does.

Alias: $sct = http://snomed.info/sct
Alias: $task-code = http://hl7.org/fhir/CodeSystem/task-code
Alias: $sdohcc = http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes
Alias: $careplan-category = http://hl7.org/fhir/us/core/CodeSystem/careplan-category

RuleSet: OfPhysicalActivity
* . obeys kh-label
* category 1..*
* category ^slicing.discriminator.type = #pattern
* category ^slicing.discriminator.path = "$this"
* category ^slicing.rules = #open
* category contains physicalActivity 1..1
* category[physicalActivity] = $pa#PhysicalActivity

Profile: KineHubCarePlan
Parent: CarePlan
Id: kinehub-care-plan
Title: "运动方案 Exercise plan"
Description: "A plan of exercise with its goals and orders (pa-careplan). 运动方案。"
* insert OfPhysicalActivity
* insert OfResident
// pa-careplan, by US Core CarePlan: a narrative, and the category assess-plan
* text 1..1
* text.status from NarrativeStatus (required)
* category contains assessPlan 1..1
* category[assessPlan] = $careplan-category#assess-plan
// pa-careplan: a plan
* intent = #plan
* insert Plain
// pa-careplan: who signs a note
* insert Signed
* note.author[x] only Reference(Practitioner or Organization or Patient or RelatedPerson)
* insert Named(note.authorReference)
// Ours
* extension contains QualityFlag named qualityFlag 0..* and Modality named modality 0..1 and Note named note 0..1 and Change named change 0..1

Profile: KineHubGoal
Parent: Goal
Id: kinehub-goal
Title: "运动目标 Exercise goal"
Description: "A goal of exercise (pa-goal). 运动目标。"
* insert OfPhysicalActivity
* insert OfResident
// pa-goal: a target is a Quantity in UCUM, and then R4 asks for its measure (gol-1)
* target.detail[x] 1..1
* target.detail[x] only Quantity
* target.detailQuantity.system = $ucum
* target.modifierExtension 0..0
* insert Plain
// pa-goal: who signs a note
* insert Signed
* note.author[x] only Reference(Practitioner or Organization or Patient or RelatedPerson)
* insert Named(note.authorReference)
// Ours
* extension contains Due named due 0..1

Invariant: kh-pa-reason
Description: "pa-sr-1: what claims pa-servicerequest says why it is asked for"
Expression: "meta.profile.where($this = 'http://hl7.org/fhir/us/physical-activity/StructureDefinition/pa-servicerequest').exists() implies (reasonCode.exists() or reasonReference.exists())"
Severity: #error

Profile: KineHubServiceRequest
Parent: ServiceRequest
Id: kinehub-service-request
Title: "运动处方项与转介 Exercise order"
Description: "An exercise that a resident is to do (the performer is the Patient), or a referral to a programme (pa-servicerequest). 运动处方项或转介。"
* . obeys kh-pa-reason
* insert OfPhysicalActivity
* insert OfResident
// pa-servicerequest: the intent of an order; the status is known
* intent from OrderIntent (required)
* status from OrderStatus (required)
// pa-servicerequest: code from the IG's list, extensible
* code 1..1
* code from OrderCodes (extensible)
// pa-servicerequest: who asks, and when. The guide wants a reference to a practitioner, and to whom is asked a reference or an NPI:
// an order that says one by name alone, or a party, is kept here and does not claim the guide's profile.
* authoredOn 1..1
* requester 1..1
* requester only Reference(Practitioner or PractitionerRole or Organization)
* performer only Reference(Patient or Practitioner or PractitionerRole or Organization or RelatedPerson)
// pa-servicerequest: never what is not to be done
* doNotPerform 0..0
* specimen 0..0
* insert Plain
* occurrence[x] only dateTime or Period or Timing
* supportingInfo.reference 1..1
// pa-servicerequest: who signs a note
* insert Signed
* note.author[x] only Reference(Practitioner or Organization)
* note.authorReference.reference 1..1
// Ours
* extension contains Intensity named intensity 0..1 and HeartRateLow named heartRateLow 0..1 and HeartRateHigh named heartRateHigh 0..1 and
    HeartRateReserveLow named heartRateReserveLow 0..1 and HeartRateReserveHigh named heartRateReserveHigh 0..1 and
    ExertionLow named exertionLow 0..1 and ExertionHigh named exertionHigh 0..1 and MetMinutes named metMinutes 0..1 and
    Progression named progression 0..1

Invariant: kh-pa-status-reason
Description: "pa-taskrm-1: a reason when it is rejected, on hold, cancelled or failed, and only then"
Expression: "statusReason.exists() = (status in ('rejected' | 'on-hold' | 'cancelled' | 'failed'))"
Severity: #error

Profile: KineHubReferralTask
Parent: Task
Id: kinehub-referral-task
Title: "转介任务 Referral task"
Description: "What whoever is asked works on (pa-task-for-referral-management). 转介任务。"
* . obeys kh-label and kh-pa-status-reason
// pa-task-for-referral-management: status but received and ready
* status from ReferralStatus (required)
* insert Plain
// pa-task-for-referral-management: to fulfill an order
* intent = #order
* code = $task-code#fulfill
* focus 1..1
* focus only Reference(KineHubServiceRequest)
* focus.reference 1..1
// pa-task-for-referral-management: for whom, when, from whom, to whom. The guide wants a reference to each: a task that says one by name
// alone is kept here and does not claim the guide's profile.
* for 1..1
* for only Reference(Patient)
* for.reference 1..1
* authoredOn 1..1
* requester 1..1
* requester only Reference(Practitioner or PractitionerRole or Organization)
* owner 1..1
* owner only Reference(Practitioner or PractitionerRole or Organization)
// pa-task-for-referral-management: in words
* businessStatus.text 1..1
* reasonCode.text 1..1
// pa-task-for-referral-management: who signs a note
* insert Signed
* note.author[x] only Reference(Practitioner or Organization)
* note.authorReference.reference 1..1
// pa-task-for-referral-management: what came of it, in words
* output ^slicing.discriminator[0].type = #pattern
* output ^slicing.discriminator[0].path = "type"
* output ^slicing.discriminator[1].type = #type
* output ^slicing.discriminator[1].path = "value"
* output ^slicing.rules = #open
* output contains activityType 0..*
* output[activityType].modifierExtension 0..0
* output[activityType].type = $sdohcc#resulting-activity
* output[activityType].value[x] only CodeableConcept
* output[activityType].valueCodeableConcept.text 1..1

ValueSet: NarrativeStatus
Id: narrative-status
Title: "叙述来源 Status of a narrative"
Description: "pa-careplan, by US Core CarePlan: what a narrative is made of."
* http://hl7.org/fhir/narrative-status#generated
* http://hl7.org/fhir/narrative-status#additional

ValueSet: OrderIntent
Id: order-intent
Title: "医嘱意图 Intent of an order"
Description: "pa-servicerequest: the intents of an order."
* http://hl7.org/fhir/request-intent#original-order
* http://hl7.org/fhir/request-intent#order
* http://hl7.org/fhir/request-intent#filler-order

ValueSet: OrderStatus
Id: order-status
Title: "医嘱状态 Status of an order"
Description: "pa-servicerequest: every status but unknown."
* http://hl7.org/fhir/request-status#draft
* http://hl7.org/fhir/request-status#active
* http://hl7.org/fhir/request-status#on-hold
* http://hl7.org/fhir/request-status#revoked
* http://hl7.org/fhir/request-status#completed
* http://hl7.org/fhir/request-status#entered-in-error

ValueSet: OrderCodes
Id: order-code
Title: "医嘱内容 What is ordered"
Description: "pa-servicerequest: what is ordered."
* $sct#819961005
* $sct#398636004
* $sct#435551000124105
* $sct#390893007
* $sct#426866005
* $sct#229095001
* $sct#229065009

ValueSet: ReferralStatus
Id: referral-status
Title: "转介状态 Status of a referral"
Description: "pa-task-for-referral-management: every status but received and ready."
* http://hl7.org/fhir/task-status#draft
* http://hl7.org/fhir/task-status#requested
* http://hl7.org/fhir/task-status#accepted
* http://hl7.org/fhir/task-status#rejected
* http://hl7.org/fhir/task-status#cancelled
* http://hl7.org/fhir/task-status#in-progress
* http://hl7.org/fhir/task-status#on-hold
* http://hl7.org/fhir/task-status#failed
* http://hl7.org/fhir/task-status#completed
* http://hl7.org/fhir/task-status#entered-in-error
