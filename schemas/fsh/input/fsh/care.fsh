// Care: laboratories, questionnaires, prescriptions, evaluations, points. Types that need no more than R4 asks keep R4's own profile.

Extension: Conclusion
Id: conclusion
Title: "结论 Conclusion"
Description: "What whoever asked concluded, as the source states it. 评估结论，照来源所写。"
Context: QuestionnaireResponse
* value[x] 1..1
* value[x] only string

Extension: Instrument
Id: instrument
Title: "量表 Instrument"
Description: "The instrument as the source named it, where its canonical cannot say so. 来源所称的量表。"
Context: QuestionnaireResponse
* value[x] 1..1
* value[x] only string

Extension: ValidUntil
Id: valid-until
Title: "有效期至 Valid until"
Description: "Last day that the answers hold. 有效期至。"
Context: QuestionnaireResponse
* value[x] 1..1
* value[x] only date

Extension: Change
Id: change
Title: "改进内容 Change"
Description: "What was improved in the plan that this one replaces, and why. 改了什么，为何改。"
Context: CarePlan
* value[x] 1..1
* value[x] only string

Extension: Due
Id: due
Title: "期限 Due"
Description: "By when a goal without a figure is to be reached; one with a figure says it in its target. 目标期限。"
Context: Goal
* value[x] 1..1
* value[x] only date

Extension: Intensity
Id: intensity
Title: "强度 Intensity"
Description: "light, moderate or vigorous. 强度：低、中、高。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only code

Extension: HeartRateLow
Id: heart-rate-low
Title: "心率下限 Heart rate from"
Description: "Beats a minute. 每分钟次数。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only decimal

Extension: HeartRateHigh
Id: heart-rate-high
Title: "心率上限 Heart rate to"
Description: "Beats a minute. 每分钟次数。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only decimal

Extension: HeartRateReserveLow
Id: heart-rate-reserve-low
Title: "心率储备下限 Heart rate reserve from"
Description: "Per cent. 百分比。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only decimal

Extension: HeartRateReserveHigh
Id: heart-rate-reserve-high
Title: "心率储备上限 Heart rate reserve to"
Description: "Per cent. 百分比。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only decimal

Extension: ExertionLow
Id: exertion-low
Title: "自觉用力下限 Exertion from"
Description: "Rating of perceived exertion on the author's scale. 自觉用力程度。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only decimal

Extension: ExertionHigh
Id: exertion-high
Title: "自觉用力上限 Exertion to"
Description: "Rating of perceived exertion on the author's scale. 自觉用力程度。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only decimal

Extension: MetMinutes
Id: met-minutes
Title: "每周总量 Weekly volume"
Description: "MET minutes a week. 每周代谢当量分钟。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only decimal

Extension: Progression
Id: progression
Title: "进度 Progression"
Description: "How the exercise grows. 怎样加量。"
Context: ServiceRequest
* value[x] 1..1
* value[x] only string

Extension: Formula
Id: formula
Title: "公式 Formula"
Description: "By what the values were computed. 推算所用的公式。"
Context: DiagnosticReport, Observation
* value[x] 1..1
* value[x] only string

Extension: FormulaVersion
Id: formula-version
Title: "公式版本 Version of the formula"
Description: "Version of the formula. 公式版本。"
Context: DiagnosticReport, Observation
* value[x] 1..1
* value[x] only string

Extension: Grade
Id: grade
Title: "等级 Grade"
Description: "As the source states it; never computed here. 照来源所写。"
Context: DiagnosticReport
* value[x] 1..1
* value[x] only string

Extension: Problem
Id: problem
Title: "康复问题 Problem"
Description: "What is rehabilitated. 康复的问题。"
Context: Observation
* value[x] 1..1
* value[x] only CodeableConcept

Extension: Progress
Id: progress
Title: "进展 Progress"
Description: "As the source states it. 照来源所写。"
Context: Observation
* value[x] 1..1
* value[x] only string

Extension: Algorithm
Id: algorithm
Title: "算法 Algorithm"
Description: "What judged the movement. 判断动作的算法。"
Context: Observation
* value[x] 1..1
* value[x] only string

Extension: AlgorithmVersion
Id: algorithm-version
Title: "算法版本 Version of the algorithm"
Description: "Version of the algorithm. 算法版本。"
Context: Observation
* value[x] 1..1
* value[x] only string

Extension: PointsDelta
Id: points-delta
Title: "积分变动 Points"
Description: "Gained, or spent where it is below 0. 增为正，减为负。"
Context: Basic
* value[x] 1..1
* value[x] only decimal

Extension: PointsReason
Id: points-reason
Title: "缘由 Reason"
Description: "For what. 因何变动。"
Context: Basic
* value[x] 1..1
* value[x] only string

Extension: PointsBalance
Id: points-balance
Title: "余额 Balance"
Description: "As the source states it. 来源所报的余额。"
Context: Basic
* value[x] 1..1
* value[x] only decimal

Extension: PointsRule
Id: points-rule
Title: "规则 Rule"
Description: "Rule and its version. 所依规则及其版本。"
Context: Basic
* value[x] 1..1
* value[x] only string

Extension: PointsExpires
Id: points-expires
Title: "有效期至 Expires"
Description: "Last day they hold. 有效期至。"
Context: Basic
* value[x] 1..1
* value[x] only date

Profile: KineHubLabReport
Parent: $ips-report
Id: kinehub-lab-report
Title: "检验报告 Laboratory report"
Description: "A laboratory's report with its results. 一份检验报告。"
* insert Recorded
* insert OfIpsResident
* extension contains Title named title 0..1 and Note named note 0..1
* category 1..*
* code = $record#lab-result
* effective[x] 1..1
* result 1..*

RuleSet: LabResult
* . obeys kh-label
* extension contains OriginalValue named originalValue 0..1
* category 1..*
* code.text 1..1
* effective[x] 1..1
* effective[x] only dateTime or Period
* value[x] only Quantity or string

Profile: KineHubLabObservation
Parent: Observation
Id: kinehub-lab-observation
Title: "检验结果 Laboratory result"
Description: "One result of a laboratory: a measure of the standard, or the laboratory's own in its own unit; a figure, words, or neither yet. 一项检验结果。"
* insert LabResult
* insert OfResident

// IPS wants to know who performed it
Profile: KineHubLabResult
Parent: $ips-laboratory
Id: kinehub-lab-result
Title: "检验机构已知的检验结果 Result of a known laboratory"
Description: "The same as a laboratory result for the International Patient Summary: the laboratory is known. 检验机构已知的检验结果。"
* insert LabResult
* insert OfIpsResident

Profile: KineHubSleep
Parent: Observation
Id: kinehub-sleep
Title: "睡眠 Sleep"
Description: "One period of sleep; its figures are members of it. 一段睡眠。"
* insert Recorded
* insert OfResident
* category 1..*
* code = $record#sleep
* effective[x] 1..1
* effective[x] only dateTime or Period
* value[x] 0..0
* hasMember 1..*
* hasMember only Reference(Observation)

Profile: KineHubAssessment
Parent: Observation
Id: kinehub-assessment
Title: "评估 Assessment"
Description: "What somebody or an algorithm found: a stage, a movement, a risk, a measure before and after, adherence. No score is made up. 一次评估的结果。"
* insert Recorded
* insert OfResident
* extension contains Note named note 0..1 and Venue named venue 0..1 and Algorithm named algorithm 0..1 and AlgorithmVersion named algorithmVersion 0..1 and
    Formula named formula 0..1 and FormulaVersion named formulaVersion 0..1 and Problem named problem 0..1 and Programme named programme 0..1 and
    Progress named progress 0..1
* category 1..*
* code from $records (required)
* effective[x] 1..1
* effective[x] only dateTime or Period
* value[x] only CodeableConcept

Profile: KineHubEffectReport
Parent: DiagnosticReport
Id: kinehub-effect-report
Title: "运动效果评估 Evaluation of effect"
Description: "What exercise brought, derived from tests before and after; formula, version and inputs are named. 运动前后的效果评估。"
* insert Recorded
* insert OfResident
* extension contains Formula named formula 1..1 and FormulaVersion named formulaVersion 1..1 and Grade named grade 0..1 and Note named note 0..1
* category 1..*
* code = $record#effect-evaluation
* effective[x] 1..1
* result 1..*
* result only Reference(Observation)

// Diagnoses, medicines and pictures, as the International Patient Summary has them

Profile: KineHubCondition
Parent: $ips-condition
Id: kinehub-condition
Title: "诊断 Condition"
Description: "A diagnosis or health problem, in the words and the code of whoever made it. 诊断或健康问题。"
* insert Recorded

Profile: KineHubMedicationStatement
Parent: $ips-medication-statement
Id: kinehub-medication-statement
Title: "用药 Medication"
Description: "A medicine as it is said to be taken, by whom it is said. 用药情况。"
* insert Recorded
* medication[x] only $ips-concept
* informationSource 1..1

Profile: KineHubImagingStudy
Parent: $ips-imaging-study
Id: kinehub-imaging-study
Title: "影像检查 Imaging study"
Description: "An imaging examination; the pictures stay where they are. 影像检查，图像不入库。"
* . obeys kh-label
* insert OfIpsResident
* started 1..1

Profile: KineHubImagingReport
Parent: $ips-report
Id: kinehub-imaging-report
Title: "影像报告 Imaging report"
Description: "What the report of an imaging examination says. 影像检查报告。"
* insert Recorded
* insert OfIpsResident
* extension contains Note named note 0..1 and BodySite named bodySite 0..1
* category 1..*
* code = $record#imaging-report
* imagingStudy 1..*
