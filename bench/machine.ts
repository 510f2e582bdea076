import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  /** Its version alone. */
  readonly kernel: string;
  readonly node: string;
  readonly ffmpeg: string;
  readonly gstreamer: string;
  readonly commit: string;
}

/** Describes this machine and the versions of everything measured. */
export function machine(): Machine {
  const [first] = cpus();
  return {
    cpu: first?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release().replace(/-.*/, ""),
    node: process.version,
    ffmpeg: versionOf("ffmpeg", ["-version"], /version (\S+)/),
    gstreamer: versionOf("gst-launch-1.0", ["--version"], /version (\S+)/),
    commit: versionOf("git", ["describe", "--always", "--dirty"], /(\S+)/),
  };
}

function versionOf(program: string, args: readonly string[], pattern: RegExp): string {
  try {
    return (
      pattern.exec(
        execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
      )?.[1] ?? "?"
    );
  } catch {
    return "absent";
  }
}
