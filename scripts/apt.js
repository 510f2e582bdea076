// Debian's package manager, for whoever may use it: root, or sudo that asks for no password.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const run = (program, args, options = {}) =>
  spawnSync(program, args, { stdio: "ignore", ...options }).status === 0;
const isRoot = process.getuid?.() === 0;

/** Runs a program as root; whether it succeeded. Only where {@link whyNoApt} has nothing to say. */
export const asRoot = (program, args, options) =>
  isRoot ? run(program, args, options) : run("sudo", ["-n", program, ...args], options);

/** Why packages cannot be installed here, or nothing if they can. */
export function whyNoApt() {
  if (!existsSync("/usr/bin/apt-get")) return "this system has no apt";
  if (!isRoot && !run("sudo", ["-n", "true"])) return "neither root nor sudo without a password";
  return undefined;
}

const OPTIONS = {
  "DPkg::Lock::Timeout": 300,
  "Acquire::Retries": 1,
  "Acquire::http::Timeout": 20,
  "Dpkg::Use-Pty": 0,
};

/** `apt-get update` or `apt-get install PACKAGE...`; whether it succeeded. */
export function apt(verb, ...packages) {
  const options = Object.entries(OPTIONS).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const install = verb === "install" ? ["-y", "--no-install-recommends"] : [];
  // `env`, because sudo does not pass the environment on. What apt prints goes to stderr: stdout may be piped.
  const command = [
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "-qq",
    ...options,
    verb,
    ...install,
    ...packages,
  ];
  return asRoot("env", command, { stdio: ["ignore", 2, 2] });
}
