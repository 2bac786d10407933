package org.kinehub.conformance;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.IParser;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.Resource;

/** Writes R4 core from HAPI's definitions as the package cache that SUSHI reads: FOLDER/hl7.fhir.r4.core#4.0.1/package/TYPE-ID.json. */
public final class Core {
  private static final String DEFINITIONS = "/org/hl7/fhir/r4/model/";
  private static final List<String> FILES = List.of(
      "profile/profiles-resources.xml", "profile/profiles-types.xml", "profile/profiles-others.xml", "extension/extension-definitions.xml",
      "valueset/valuesets.xml", "valueset/v2-tables.xml", "valueset/v3-codesystems.xml");
  private static final String MANIFEST = "{\"name\":\"hl7.fhir.r4.core\",\"version\":\"4.0.1\",\"fhirVersions\":[\"4.0.1\"],\"type\":\"Core\","
      + "\"canonical\":\"http://hl7.org/fhir\",\"dependencies\":{}}";

  private Core() {}

  public static void main(String[] arguments) throws IOException {
    Path folder = Files.createDirectories(Path.of(arguments[0], "hl7.fhir.r4.core#4.0.1", "package"));
    FhirContext context = FhirContext.forR4Cached();
    IParser printer = context.newJsonParser();
    Set<String> written = new HashSet<>();
    for (String file : FILES) {
      for (Bundle.BundleEntryComponent entry : bundle(context, file).getEntry()) {
        Resource resource = entry.getResource();
        String name = resource.fhirType() + "-" + resource.getIdElement().getIdPart() + ".json";
        if (written.add(name)) {
          Files.writeString(folder.resolve(name), printer.encodeResourceToString(resource));
        }
      }
    }
    Files.writeString(folder.resolve("package.json"), MANIFEST);
  }

  private static Bundle bundle(FhirContext context, String file) throws IOException {
    try (InputStream stream = Core.class.getResourceAsStream(DEFINITIONS + file)) {
      return context.newXmlParser().parseResource(Bundle.class, new InputStreamReader(stream, StandardCharsets.UTF_8));
    }
  }
}
