// Installs the Debian packages of third-party programs that tests and benchmarks drive, where it may (root or
// sudo without a password, apt there); what stays missing is named, with the checks that are left out.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { apt, asRoot, whyNoApt } from "./apt.js";

const peers = JSON.parse(readFileSync(new URL("peers.json", import.meta.url), "utf8"));
const POLICY = "/usr/sbin/policy-rc.d";
/** After a failed try the network is left alone for this long. */
const RETRY_AFTER_MS = 3_600_000;

const programFolders = [...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];
const libraryFolders = () => ["/usr/lib", ...readdirSync("/usr/lib").map((name) => `/usr/lib/${name}`)];

/** Whether one line of `needs` is met: `bin:a|b` in the path, `lib:` below a library folder, `file:` as it is. */
function isMet(need) {
  const [kind, name] = need.split(/:(.*)/s);
  if (kind === "bin")
    return name.split("|").some((one) => programFolders.some((dir) => existsSync(join(dir, one))));
  if (kind === "lib") return libraryFolders().some((dir) => existsSync(join(dir, name)));
  return existsSync(name);
}

/** Names of the peers that are not wholly there. */
export const missingPeers = () => Object.keys(peers).filter((name) => !peers[name].needs.every(isMet));

/** Installs what is missing where it may, and writes `{peer: why it is missing}` for the tests to `reportFile`. */
export function ensurePeers(reportFile) {
  const before = missingPeers();
  if (before.length === 0) return rmSync(reportFile, { force: true });
  const why = whyNotInstall(reportFile) ?? installPeers(before);
  const missing = missingPeers();
  if (missing.length === 0) return rmSync(reportFile, { force: true });
  const reasons = Object.fromEntries(missing.map((name) => [name, why ?? "not in this system's packages"]));
  writeFileSync(reportFile, JSON.stringify({ atMs: Date.now(), reasons }, null, 2));
  for (const name of missing) {
    console.error(`LEFT OUT: checks that need ${name} (${peers[name].for}): ${reasons[name]}.`);
    console.error(`          To have them: apt-get install ${peers[name].packages.join(" ")}`);
  }
}

function whyNotInstall(reportFile) {
  if (process.env.TESSERA_INSTALL_PEERS === "0") return "TESSERA_INSTALL_PEERS=0";
  const why = whyNoApt();
  if (why) return why;
  const last = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, "utf8")).atMs : 0;
  const agoMs = Date.now() - last;
  if (process.env.CI || agoMs > RETRY_AFTER_MS) return undefined;
  return `installing failed ${Math.round(agoMs / 60_000)} minutes ago; delete ${reportFile} to try again`;
}

/** Returns why it failed, or nothing. One peer that cannot be had does not keep the others out. */
function installPeers(names) {
  console.error(`Installing third-party peers of the tests: ${names.join(", ")}.`);
  const services = names.flatMap((name) => peers[name].services ?? []);
  const newServices = services.filter((name) => !existsSync(`/lib/systemd/system/${name}.service`));
  return withoutServices(() => {
    if (!apt("update")) return "apt-get update failed";
    if (!aptInstall(names)) for (const name of names) aptInstall([name]);
    disableServices(newServices);
    return undefined;
  });
}

const aptInstall = (names) => apt("install", ...new Set(names.flatMap((name) => peers[name].packages)));

/**
 * Debian starts a service as soon as it is installed; the tests start their own on loopback instead. A policy
 * that answers 101 ("forbidden") keeps it from starting; one that was there comes back afterwards.
 */
function withoutServices(action) {
  if (existsSync(POLICY) && spawnSync(POLICY, ["nginx", "start"]).status === 101) return action();
  const aside = `${POLICY}.before-tessera`;
  const hadPolicy = existsSync(POLICY);
  if (hadPolicy) asRoot("mv", [POLICY, aside]);
  asRoot("sh", ["-c", `printf '#!/bin/sh\\nexit 101\\n' > ${POLICY} && chmod 755 ${POLICY}`]);
  const restore = () => (hadPolicy ? asRoot("mv", [aside, POLICY]) : asRoot("rm", ["-f", POLICY]));
  // apt takes the interrupt itself and comes back here; this process only has to outlive it.
  const wait = () => {};
  process.on("SIGINT", wait);
  try {
    return action();
  } finally {
    restore();
    process.off("SIGINT", wait);
  }
}

/** Nor do they start at the next boot: they were installed for the tests alone. */
function disableServices(services) {
  if (!existsSync("/run/systemd/system")) return;
  for (const service of services) asRoot("systemctl", ["disable", service]);
}
