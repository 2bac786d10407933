// What is about a place and names nobody

Profile: KineHubVenueOccupancy
Parent: MeasureReport
Id: kinehub-venue-occupancy
Title: "场馆客流 Venue occupancy"
Description: "How many people were at a venue: exact for the centre that counted; others see `>=` the step of ten that a figure lies in, or `<` the first. 场馆人数；只有计数的机构看到准确的数。"
* extension contains QualityFlag named qualityFlag 0..* and Modality named modality 0..1 and Note named note 0..1 and Counting named counting 0..1
* type = #summary
* measure = "https://kinehub.org/fhir/Measure/venue-occupancy"
* subject 1..1
* subject only Reference(Location)
* reporter 1..1
* reporter only Reference(Organization)
// A count at a moment begins and ends with it
* period.start 1..1
* period.end 1..1
* group.code 1..1
* group.code.coding 1..*
* group.measureScore 1..1
* group.measureScore.value 1..1
* group.measureScore.system 1..1
* group.measureScore.code 1..1
* group.measureScore = $ucum#{person}
// Nothing that leads to people
* group.population 0..0
* group.stratifier 0..0
* evaluatedResource 0..0
