import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { InvalidArgumentError } from "../core/error.ts";
import type { AbsentReason, DeviceReport, ProbeReport, StageReport } from "../core/probe-report.ts";
import { ms } from "../core/time.ts";
import { LiveClock, sleep } from "../media/clock.ts";
import { listDevices } from "./device-list.ts";
import { type ProbeJob, type ProbeMessage, planStages, type StagePlan, TRANSFER } from "./probe-message.ts";
import { clip } from "./probe-reason.ts";
import { loadProfiles, type Profile } from "./profile.ts";

/** How to probe; everything has a default. */
export interface ProbeOptions {
  /** Default: all of `hw/`. The CPU's must be among them, or among `hw/`: the others are held against it. */
  readonly profiles?: readonly Profile[] | undefined;
  /** Ends the probe and its children at once. */
  readonly signal?: AbortSignal | undefined;
  /** How long one stage may take, in ms. Default 20 s. */
  readonly stageTimeoutMs?: number | undefined;
  /** Arguments of Node for the children. Default: none. */
  readonly execArgv?: readonly string[] | undefined;
}

const DEFAULT_TIMEOUT_MS = 20_000;
/** A device that takes more children than this with it is left alone. */
const MAX_DEATHS = 3;
/** A child whose driver holds it in the kernel does not even die of SIGKILL; we go on without it. */
const KILL_GRACE_MS = 1000;

/**
 * Tries every stage of every profile on every device of this machine, one device after the other.
 *
 * Each device is probed in a child process of its own, so that no crash and no hang of a driver reaches the caller,
 * which need not have loaded FFmpeg. The report says why what is absent is absent.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if a profile is not valid; `signal.reason` if aborted.
 */
export async function probe(options: ProbeOptions = {}): Promise<ProbeReport> {
  const devices: DeviceReport[] = [];
  let ffmpeg = "unknown";
  for await (const found of probeDevices(options)) {
    devices.push(found.report);
    ffmpeg = found.ffmpeg ?? ffmpeg;
  }
  return { ffmpeg, devices };
}

/** One device, as soon as it is known. */
export interface ProbedDevice {
  readonly report: DeviceReport;
  /** FFmpeg's version, from the child. */
  readonly ffmpeg: string | undefined;
}

/** Like {@link probe}, device by device. @throws as {@link probe}. */
export async function* probeDevices(options: ProbeOptions = {}): AsyncGenerator<ProbedDevice> {
  const profiles = options.profiles ?? loadProfiles();
  const cpu = [...profiles, ...loadProfiles()].find(({ device }) => device === undefined);
  if (cpu === undefined) throw new InvalidArgumentError("profiles", "none of them is the CPU's");
  for (const profile of profiles) {
    for (const [index, device] of listDevices(profile).entries()) {
      options.signal?.throwIfAborted();
      const found = await new DeviceProbe(profile, cpu, device, options).run();
      // Numbered devices end where one is missing; only if the first is missing is that worth telling.
      const isBeyond = !found.report.opened && isNumbered(profile) && index > 0;
      if (!isBeyond) yield found;
      if (!found.report.opened && isNumbered(profile)) break;
    }
  }
}

const isNumbered = ({ device }: Profile): boolean =>
  typeof device?.list === "object" && "numbered" in device.list;

/** Probes one device with as many children as it takes. */
class DeviceProbe {
  readonly #profile: Profile;
  readonly #cpu: Profile;
  readonly #device: string | undefined;
  readonly #options: ProbeOptions;
  readonly #reports = new Map<string, StageReport>();
  #opened: Extract<ProbeMessage, { type: "opened" }> | undefined;
  #absent: AbsentReason | undefined;
  #current: string | undefined;
  #isDone = false;

  constructor(profile: Profile, cpu: Profile, device: string | undefined, options: ProbeOptions) {
    this.#profile = profile;
    this.#cpu = cpu;
    this.#device = device;
    this.#options = options;
  }

  async run(): Promise<ProbedDevice> {
    for (let deaths = 0; deaths < MAX_DEATHS && !this.#isDone; deaths += 1) {
      this.#current = undefined;
      const death = await this.#child();
      this.#options.signal?.throwIfAborted();
      if (death !== undefined) this.#blame(death);
    }
    return { report: this.#report(), ffmpeg: this.#opened?.ffmpeg };
  }

  /** Whatever it was doing is absent for this reason; dying before or between stages is the device's fault. */
  #blame(reason: AbsentReason): void {
    const plan = planStages(this.#profile).find(({ key }) => key === this.#current);
    if (plan !== undefined) this.#reports.set(plan.key, absentStage(plan, reason));
    else if (this.#opened === undefined) [this.#absent, this.#isDone] = [reason, true];
  }

  /** Runs one child to its end. Returns how it died, or undefined if it said all it had to say. */
  async #child(): Promise<AbsentReason | undefined> {
    const child = fork(CHILD, {
      execArgv: [...(this.#options.execArgv ?? [])],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const ended = Promise.withResolvers<AbsentReason | undefined>();
    const complaint = lastWords(child);
    const watch = new Watch(this.#options.stageTimeoutMs ?? DEFAULT_TIMEOUT_MS, () =>
      ended.resolve({ kind: "hung", message: `no answer within ${watch.limitMs} ms` }),
    );
    const onAbort = (): void => ended.resolve(undefined);
    this.#options.signal?.addEventListener("abort", onAbort, { once: true });
    child.on("error", (error) => ended.resolve({ kind: "crashed", message: clip(error.message) }));
    // Not `exit`: what it wrote last may still be in the pipe then.
    child.on("close", (code, signal) => ended.resolve(deathOf(code, signal, complaint())));
    child.on("message", (message: ProbeMessage) => {
      watch.restart();
      if (this.#hear(message)) ended.resolve(undefined);
    });
    // A child that is gone already says so by its exit.
    child.send(this.#job(), () => undefined);
    try {
      return await ended.promise;
    } finally {
      watch.stop();
      this.#options.signal?.removeEventListener("abort", onAbort);
      await kill(child);
    }
  }

  #job(): ProbeJob {
    const isTransferLost = this.#reports.get(TRANSFER)?.available === false;
    const skip = [...this.#reports.keys()];
    return { profile: this.#profile, cpu: this.#cpu, device: this.#device, skip, isTransferLost };
  }

  /** Returns whether that was the last word. */
  #hear(message: ProbeMessage): boolean {
    switch (message.type) {
      case "opened":
        this.#opened = message;
        return false;
      case "start":
        this.#current = message.key;
        return false;
      case "stage":
        this.#current = undefined;
        this.#reports.set(message.key, message.report);
        return false;
      case "absent":
        this.#absent = message.reason;
        this.#isDone = true;
        return true;
      case "done":
        this.#isDone = true;
        return true;
    }
  }

  #report(): DeviceReport {
    const { name, title, accel } = this.#profile;
    const plans = planStages(this.#profile);
    const untried: AbsentReason = {
      kind: "not-tried",
      message:
        this.#absent === undefined
          ? `the device took ${MAX_DEATHS} processes with it`
          : "the device did not open",
    };
    return {
      profile: name,
      title,
      accel,
      ...(this.#device === undefined ? {} : { device: this.#device }),
      ...(this.#opened?.deviceName === undefined ? {} : { deviceName: this.#opened.deviceName }),
      software: this.#opened?.software ?? false,
      opened: this.#opened !== undefined && this.#absent === undefined,
      ...(this.#absent === undefined ? {} : { reason: this.#absent }),
      stages: plans.map((plan) => this.#reports.get(plan.key) ?? absentStage(plan, untried)),
    };
  }
}

/** Beside this file, in source or built. */
const CHILD = fileURLToPath(new URL(`./probe-child${extname(import.meta.url)}`, import.meta.url));

/** Calls back once if it is not restarted in time. */
class Watch {
  readonly limitMs: number;
  readonly #late: () => void;
  #turn = new AbortController();

  constructor(limitMs: number, late: () => void) {
    this.limitMs = limitMs;
    this.#late = late;
    this.#wait();
  }

  restart(): void {
    this.stop();
    this.#turn = new AbortController();
    this.#wait();
  }

  stop(): void {
    this.#turn.abort();
  }

  #wait(): void {
    sleep(new LiveClock(), ms(this.limitMs), this.#turn.signal).then(this.#late, () => undefined);
  }
}

/** Ends the child for good, and waits for that, though not for ever. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  const waiting = new AbortController();
  await Promise.race([
    gone,
    sleep(new LiveClock(), ms(KILL_GRACE_MS), waiting.signal).catch(() => undefined),
  ]);
  waiting.abort();
  child.unref();
}

/** The last line that the child wrote, bounded: what Node says when it cannot start. */
function lastWords(child: ChildProcess): () => string {
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-2000);
  });
  return () => /\b(?:\w*Error|FATAL)\b.*/.exec(text)?.[0] ?? "";
}

function deathOf(code: number | null, signal: NodeJS.Signals | null, words: string): AbsentReason {
  if (signal !== null) return { kind: "crashed", message: `its process died of ${signal}` };
  return { kind: "crashed", message: clip(`its process left with ${code} ${words}`) };
}

const absentStage = ({ stage, media, codec, ways }: StagePlan, reason: AbsentReason): StageReport => ({
  stage,
  media,
  name: ways[0] ?? "",
  available: false,
  reason,
  ...(codec === undefined ? {} : { codec }),
});
