// Reads one patient's history with fhir-kit-client and prints what it saw as one line of JSON.
import { Client } from 'fhir-kit-client';

const [baseUrl, bearerToken, patient] = process.argv.slice(2);
const client = new Client({ baseUrl, bearerToken });

async function pages(searchParams) {
  const ids = [];
  let count = 0;
  let bundle = await client.search({ resourceType: 'Observation', searchParams });
  const { total } = bundle;
  while (bundle) {
    count += 1;
    ids.push(...(bundle.entry ?? []).map((entry) => entry.resource.id));
    bundle = (await client.nextPage({ bundle })) ?? null;
  }
  return { ids, total, pages: count };
}

const capability = await client.capabilityStatement();
const person = await client.read({ resourceType: 'Patient', id: patient });
const everything = await pages({ patient, _count: '3', _total: 'accurate' });
const pressures = await pages({ patient, code: 'http://loinc.org|85354-9' });
const dated = await pages({ patient, date: 'ge2026-05-03', _sort: '-date' });
const posted = await client.search({ resourceType: 'Observation', searchParams: { patient }, options: { postSearch: true } });
const one = await client.read({ resourceType: 'Observation', id: everything.ids[0] });
const version = await client.vread({ resourceType: 'Observation', id: one.id, version: one.meta.versionId });
const history = await client.resourceHistory({ resourceType: 'Observation', id: one.id });
const whole = await client.operation({ name: '$everything', resourceType: 'Patient', id: patient, method: 'get' });
const system = 'https://kinehub.org/fhir/CodeSystem/measure';
const expanded = await client.operation({ name: '$expand', resourceType: 'ValueSet', id: 'measure', method: 'get', input: { filter: '收缩压' } });
const coding = { name: 'coding', valueCoding: { system, code: 'systolic' } };
const translated = await client.operation({ name: '$translate', resourceType: 'ConceptMap', input: { resourceType: 'Parameters', parameter: [coding] } });

process.stdout.write(JSON.stringify({
  fhirVersion: capability.fhirVersion,
  patient: person.id,
  everything,
  pressures: pressures.ids.length,
  dated: dated.ids,
  posted: posted.entry.length,
  same: version.id === one.id,
  history: history.total,
  expanded: expanded.expansion.contains.map((one) => one.code),
  translated: translated.parameter.find((one) => one.name === 'result').valueBoolean,
  whole: whole.entry.filter((entry) => entry.resource.resourceType === 'Observation').length,
}));
