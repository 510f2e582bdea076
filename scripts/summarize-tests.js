// Reads vitest's JSON report and ends with one plain line: `N passed, N failed, N skipped`.
// Fails when a test failed, when a file could not be run, or when a test was skipped that needs no GPU: a check
// that quietly does not run is worth nothing. `test/kit/gpu-list.json` names the files whose tests need one.
//
//   node scripts/summarize-tests.js report.json [exit code of the runner]
import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";

const [, , reportFile, runnerCode = "0"] = process.argv;
if (!reportFile || !existsSync(reportFile)) {
  console.log("The runner wrote no report: it did not get as far as running a test.");
  console.log("0 passed, 1 failed, 0 skipped");
  process.exit(1);
}
const report = JSON.parse(readFileSync(reportFile, "utf8"));
const gpuFiles = new Set(
  JSON.parse(readFileSync(new URL("../test/kit/gpu-list.json", import.meta.url), "utf8")),
);

const tests = report.testResults.flatMap((file) =>
  file.assertionResults.map(({ fullName, status }) => ({
    file: relative(process.cwd(), file.name),
    fullName,
    status,
  })),
);
const failed = tests.filter(({ status }) => status === "failed");
const skipped = tests.filter(({ status }) => status !== "passed" && status !== "failed");
const unexpected = skipped.filter(({ file }) => !gpuFiles.has(file));
// A file that throws before its first test has a status, and no tests to carry it.
const brokenFiles = report.testResults
  .filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((one) => one.status === "failed"),
  )
  .map(({ name, message }) => ({ file: relative(process.cwd(), name), fullName: message.split("\n")[0] }));

for (const { file, fullName } of [...failed, ...brokenFiles]) console.log(`FAILED   ${file} > ${fullName}`);
for (const { file, fullName } of skipped) {
  console.log(`${gpuFiles.has(file) ? "no GPU  " : "SKIPPED "} ${file} > ${fullName}`);
}
if (unexpected.length > 0)
  console.log(`${unexpected.length} skipped tests are not on the GPU list: that is a failure.`);
const failures = failed.length + brokenFiles.length;
const isRed = failures > 0 || unexpected.length > 0 || tests.length === 0 || runnerCode !== "0";
if (isRed && failures === 0 && unexpected.length === 0)
  console.log("The runner failed outside any test (see above).");
console.log(
  `${tests.length - failed.length - skipped.length} passed, ${failures} failed, ${skipped.length} skipped`,
);
process.exit(isRed ? 1 : 0);
