package org.kinehub.conformance;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.validation.FhirValidator;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.Measure;
import org.hl7.fhir.r4.model.MetadataResource;
import org.hl7.fhir.r4.model.OperationOutcome;
import org.hl7.fhir.r4.model.Questionnaire;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;
import org.hl7.fhir.utilities.npm.NpmPackage;

/** Reads resources (NDJSON, one JSON document, or - for standard input) and prints one OperationOutcome line for each, in their order. */
public final class Validate {
  private static final FhirContext R4 = FhirContext.forR4Cached();
  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  private Validate() {}

  public static void main(String[] arguments) throws IOException {
    List<Path> packages = new ArrayList<>();
    List<String> files = new ArrayList<>();
    for (int at = 0; at < arguments.length; at++) {
      if (arguments[at].equals("--package") && at + 1 < arguments.length) {
        packages.add(Path.of(arguments[++at]));
      } else {
        files.add(arguments[at]);
      }
    }
    if (files.isEmpty()) {
      System.err.println("Usage: validate [--package FILE.tgz|FOLDER]... FILE.ndjson|FILE.json|-...");
      System.exit(2);
    }
    boolean failed = run(validator(packages), files);
    OUT.flush();
    System.exit(failed ? 1 : 0);
  }

  private static boolean run(FhirValidator validator, List<String> files) throws IOException {
    IParser printer = R4.newJsonParser();
    boolean failed = false;
    for (String file : files) {
      for (String resource : read(file)) {
        OperationOutcome outcome = judge(validator, resource);
        failed |= outcome.getIssue().stream().anyMatch(Validate::isError);
        OUT.println(printer.encodeResourceToString(outcome));
      }
    }
    return failed;
  }

  private static boolean isError(OperationOutcome.OperationOutcomeIssueComponent issue) {
    return issue.getSeverity() == OperationOutcome.IssueSeverity.ERROR || issue.getSeverity() == OperationOutcome.IssueSeverity.FATAL;
  }

  /** HAPI says an unknown profile twice: as a warning, as it was told to, and once more as an error that no setting changes. */
  private static boolean isSaidAsWarning(OperationOutcome.OperationOutcomeIssueComponent issue) {
    return isError(issue) && String.valueOf(issue.getDiagnostics()).startsWith("Invalid profile. Failed to retrieve profile with url=");
  }

  private static OperationOutcome judge(FhirValidator validator, String resource) {
    try {
      OperationOutcome outcome = (OperationOutcome) validator.validateWithResult(resource).toOperationOutcome();
      outcome.getIssue().removeIf(Validate::isSaidAsWarning);
      return outcome;
    } catch (RuntimeException failure) {
      OperationOutcome outcome = new OperationOutcome();
      outcome.addIssue().setSeverity(OperationOutcome.IssueSeverity.FATAL).setCode(OperationOutcome.IssueType.EXCEPTION)
          .setDiagnostics(String.valueOf(failure.getMessage()));
      return outcome;
    }
  }

  /** The resources of a file: every line of NDJSON, or the whole of a file whose first line is not a whole document. */
  private static List<String> read(String file) throws IOException {
    String text = file.equals("-") ? standardInput() : Files.readString(Path.of(file));
    List<String> lines = text.lines().filter(line -> !line.isBlank()).toList();
    boolean isNdjson = lines.stream().allMatch(line -> line.strip().startsWith("{") && line.strip().endsWith("}"));
    return isNdjson ? lines : List.of(text);
  }

  private static String standardInput() throws IOException {
    try (BufferedReader reader = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      return String.join("\n", reader.lines().toList());
    }
  }

  private static FhirValidator validator(List<Path> packages) throws IOException {
    ValidationSupportChain chain = new ValidationSupportChain();
    chain.addValidationSupport(new DefaultProfileValidationSupport(R4));
    for (Path path : packages) {
      chain.addValidationSupport(defined(path));
    }
    UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(R4);
    unknown.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
    chain.addValidationSupport(new SnapshotGeneratingValidationSupport(R4));
    chain.addValidationSupport(new CommonCodeSystemsTerminologyService(R4));
    chain.addValidationSupport(new InMemoryTerminologyServerValidationSupport(R4));
    chain.addValidationSupport(unknown);
    chain.setCodeableConceptValidationSuccessfulIfNotAllCodingsAreValid(true); // R4: one coding of the value set is enough
    FhirInstanceValidator instances = new FhirInstanceValidator(chain);
    instances.setErrorForUnknownProfiles(false);
    instances.setAnyExtensionsAllowed(true);
    instances.setBestPracticeWarningLevel(BestPracticeWarningLevel.Warning);
    return R4.newValidator().registerValidatorModule(instances);
  }

  /** The conformance resources of an npm-style package, or of a folder and its sub-folders. */
  private static IValidationSupport defined(Path path) throws IOException {
    Defined support = new Defined();
    IParser parser = R4.newJsonParser();
    for (String text : Files.isDirectory(path) ? folder(path) : npm(path)) {
      if (text.contains("\"resourceType\"")) {
        support.addResource(parser.parseResource(text));
      }
    }
    return support;
  }

  /** HAPI keeps no Questionnaires and no Measures: without them a response or a report is judged against none. */
  private static final class Defined extends PrePopulatedValidationSupport {
    private final Map<String, MetadataResource> more = new HashMap<>();

    Defined() {
      super(R4);
    }

    @Override
    public void addResource(IBaseResource resource) {
      super.addResource(resource);
      if (resource instanceof Questionnaire || resource instanceof Measure) {
        MetadataResource one = (MetadataResource) resource;
        more.put(one.getUrl(), one);
        more.put(one.getUrl() + "|" + one.getVersion(), one);
      }
    }

    @Override
    public <T extends IBaseResource> T fetchResource(Class<T> type, String url) {
      MetadataResource found = more.get(url);
      return type != null && type.isInstance(found) ? type.cast(found) : super.fetchResource(type, url);
    }
  }

  private static List<String> folder(Path path) throws IOException {
    try (Stream<Path> files = Files.walk(path)) {
      List<String> texts = new ArrayList<>();
      for (Path file : files.filter(one -> one.toString().endsWith(".json")).toList()) {
        texts.add(Files.readString(file));
      }
      return texts;
    }
  }

  private static List<String> npm(Path file) throws IOException {
    try (InputStream packed = Files.newInputStream(file)) {
      NpmPackage.NpmPackageFolder folder = NpmPackage.fromPackage(packed).getFolders().get("package");
      List<String> texts = new ArrayList<>();
      for (String name : folder.listFiles()) {
        if (name.endsWith(".json") && !name.equals("package.json") && !name.startsWith(".")) {
          texts.add(new String(folder.fetchFile(name), StandardCharsets.UTF_8));
        }
      }
      return texts;
    }
  }
}
