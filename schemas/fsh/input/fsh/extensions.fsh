// Every extension that the hub writes. What FHIR R4 has an element or a core extension for is not here.

// Said of the record as a whole

Extension: QualityFlag
Id: quality-flag
Title: "质量标记 Quality flag"
Description: "What was assumed or is unusual about the record. 推定的、少见的都有标记。"
Context: DomainResource
* value[x] 1..1
* value[x] only code
* valueCode from $quality-flags (required)

Extension: Modality
Id: modality
Title: "获得方式 Modality"
Description: "How the values were obtained, when the source says so. 数值是怎样得到的。"
Context: DomainResource
* value[x] 1..1
* value[x] only code
* valueCode from $modalities (required)

Extension: Note
Id: note
Title: "备注 Note"
Description: "The source's remark, where the resource type or its profile has no room for one. 来源的备注。"
Context: DomainResource
* value[x] 1..1
* value[x] only string

Extension: EffectivePeriod
Id: effective-period
Title: "起止时间 Effective period"
Description: "The whole period of a measurement whose profile allows one moment only (R4's vital signs, vs-1); effectiveDateTime is its start. 体征的完整起止时间。"
Context: Observation
* value[x] 1..1
* value[x] only Period

Extension: LocalClock
Id: local-clock
Title: "本地钟面时间 Local clock"
Description: "The time as the source's clock showed it, zone unknown; the element itself has date precision. 来源未说明时区时的钟面时间。"
Context: dateTime
* value[x] 1..1
* value[x] only string
* valueString obeys kh-clock

Invariant: kh-clock
Description: "A date and a time without offset"
Expression: "$this.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?$')"
Severity: #error

Extension: OriginalValue
Id: original-value
Title: "原始值 Original value"
Description: "Value and unit as the source wrote them, where the hub keeps another unit. 来源写下的数值和单位。"
Context: Observation, Observation.component
* value[x] 1..1
* value[x] only string

// Sessions

Extension: Title
Id: title
Title: "标题 Title"
Description: "The name that the person, the device or the source gave it. 来源给出的标题。"
Context: Observation, DiagnosticReport, QuestionnaireResponse
* value[x] 1..1
* value[x] only string

Extension: Indoor
Id: indoor
Title: "室内 Indoor"
Description: "Whether the session took place indoors. 是否在室内。"
Context: Observation
* value[x] 1..1
* value[x] only boolean

Extension: SubSport
Id: sub-sport
Title: "项目细分 Sub-sport"
Description: "The kind of the sport, as the source gave it. 来源给出的项目细分。"
Context: Observation
* value[x] 1..1
* value[x] only string

Extension: Venue
Id: venue
Title: "场馆 Venue"
Description: "Where it took place: the directory's entry, else the name as the source gave it. 场馆。"
Context: Observation
* value[x] 1..1
* value[x] only string or Reference(Location)

Extension: Coach
Id: coach
Title: "教练 Coach"
Description: "Who guided it: the directory's entry, else the name as the source gave it. 教练。"
Context: Observation
* value[x] 1..1
* value[x] only string or Reference(Practitioner)

Extension: Programme
Id: programme
Title: "课程 Programme"
Description: "The course or programme that it belonged to. 所属课程或项目。"
Context: Observation, Appointment
* value[x] 1..1
* value[x] only string

Extension: PoolLength
Id: pool-length-m
Title: "泳池长度 Pool length"
Description: "Length of the pool in metres. 泳池长度，米。"
Context: Observation
* value[x] 1..1
* value[x] only decimal

Extension: BodySite
Id: body-site
Title: "部位 Body site"
Description: "Body site of a report, which has no element for it. 部位。"
Context: DiagnosticReport
* value[x] 1..1
* value[x] only CodeableConcept

Extension: SamplingMethod
Id: sampling-method
Title: "取样方法 Sampling method"
Description: "How a point was made where the samples were made coarser. 采样点变稀时每一点怎样得出。"
Context: SampledData
* value[x] 1..1
* value[x] only code
* valueCode from $sampling-methods (required)

// Tests and visits

Extension: Edition
Id: edition
Title: "标准版本 Edition"
Description: "Edition of the test's standard, for example GTZD-2023. 测定标准的版本。"
Context: DiagnosticReport, QuestionnaireResponse
* value[x] 1..1
* value[x] only string

Extension: CheckInMethod
Id: check-in-method
Title: "入场方式 Check-in method"
Description: "How the person was let in: card, code, face. 入场方式。"
Context: Encounter
* value[x] 1..1
* value[x] only string

// People

Extension: GenderCode
Id: gender-code
Title: "性别代码 Gender code"
Description: "The code of GB/T 2261.1 behind Patient.gender: unknown (0) and unstated (9) differ. GB/T 2261.1 性别代码。"
Context: Patient.gender
* value[x] 1..1
* value[x] only Coding
* valueCoding from $sexes (required)

Extension: Division
Id: division
Title: "行政区划代码 Division"
Description: "Code of the administrative division, 6 to 12 digits (GB/T 2260, streets and communities after it). 行政区划代码。"
Context: Address
* value[x] 1..1
* value[x] only code
* valueCode obeys kh-division

Invariant: kh-division
Description: "6, 9 or 12 digits"
Expression: "$this.matches('^([0-9]{6}|[0-9]{9}|[0-9]{12})$')"
Severity: #error

Extension: TimeZone
Id: time-zone
Title: "时区 Time zone"
Description: "IANA time zone where the person's days, weeks and ages are counted. 居民所在时区。"
Context: Patient
* value[x] 1..1
* value[x] only code

Extension: WithdrawnAt
Id: withdrawn-at
Title: "撤回时间 Withdrawn at"
Description: "When the consent was withdrawn. 撤回时间。"
Context: Consent
* value[x] 1..1
* value[x] only dateTime

// Provenance

Extension: MadeBy
Id: made-by
Title: "由何转换 Made by"
Description: "What turned the original into these resources, each with its version. 由哪个版本的适配器、映射、编译器和标准转换。"
Context: Provenance
* extension contains adapter 1..1 and mapping 1..1 and compiler 1..1 and standard 1..1
* extension[adapter].value[x] 1..1
* extension[adapter].value[x] only string
* extension[mapping].value[x] 1..1
* extension[mapping].value[x] only string
* extension[compiler].value[x] 1..1
* extension[compiler].value[x] only string
* extension[standard].value[x] 1..1
* extension[standard].value[x] only string

// Counts of people at venues

Extension: Counting
Id: counting
Title: "计数方式 Way of counting"
Description: "How the people at a venue were counted, never by recognising anybody. 场馆里的人是怎样数的，都不识别是谁。"
Context: MeasureReport
* value[x] 1..1
* value[x] only code
* valueCode from $counting (required)
