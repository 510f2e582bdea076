import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  AV_HWDEVICE_TYPE_NONE,
  AV_LOG_ERROR,
  AV_LOG_INFO,
  AV_LOG_VERBOSE,
  HardwareDeviceContext,
  Log,
} from "node-av";
import { DeviceError } from "../core/error.ts";
import { ms } from "../core/time.ts";
import { LiveClock, sleep } from "../media/clock.ts";
import { entries } from "./device-list.ts";
import { options as dictionary, succeed } from "./libav.ts";
import type { Profile } from "./profile.ts";

/** libav's log arrives on the event loop a moment after the call that wrote it. */
const LOG_DELAY = ms(20);
const KEPT_LINES = 400;

/** What libav said, a line each. */
export interface Said {
  readonly all: string;
  readonly firstError: string | undefined;
  readonly lastLine: string | undefined;
}

/** Collects what libav says, so that a failure can be told in its own words. One per process. */
export class LibavLog implements Disposable {
  #lines: { readonly isError: boolean; readonly text: string }[] = [];
  readonly #clock = new LiveClock();

  constructor() {
    Log.setLevel(AV_LOG_VERBOSE);
    Log.setCallback(
      (level, text) => {
        if (this.#lines.length < KEPT_LINES)
          this.#lines.push({ isError: level <= AV_LOG_ERROR, text: text.trim() });
      },
      { maxLevel: AV_LOG_VERBOSE },
    );
  }

  /** Everything said since the last call, oldest first. */
  async take(): Promise<Said> {
    await sleep(this.#clock, LOG_DELAY);
    const lines = this.#lines.filter(({ text }) => text !== "");
    this.#lines = [];
    return {
      all: lines.map(({ text }) => text).join("\n"),
      firstError: lines.find(({ isError }) => isError)?.text,
      lastLine: lines.at(-1)?.text,
    };
  }

  [Symbol.dispose](): void {
    Log.resetCallback();
    Log.setLevel(AV_LOG_INFO);
  }
}

/** A device that was opened; owns it. */
export interface OpenDevice extends Disposable {
  readonly context: HardwareDeviceContext;
  readonly name: string | undefined;
  /** Emulated on the CPU. */
  readonly software: boolean;
}

/**
 * Opens a profile's device.
 *
 * Call it once per process and first of all: node-av 6.1.1 hands libav a device name whose memory it has let go of.
 *
 * @param which as `listDevices` gave it.
 * @throws {DeviceError} `ERR_DEVICE` with the driver's own words.
 */
export async function openDevice(
  profile: Profile,
  which: string | undefined,
  log: LibavLog,
): Promise<OpenDevice> {
  const { device } = profile;
  if (device === undefined) throw new DeviceError("this profile has no device to open");
  await log.take();
  const context = new HardwareDeviceContext();
  const type = HardwareDeviceContext.findTypeByName(
    device.type as Parameters<typeof HardwareDeviceContext.findTypeByName>[0],
  );
  if (type === AV_HWDEVICE_TYPE_NONE) throw new DeviceError(`no ${device.type} in this build of FFmpeg`);
  const settings = Object.keys(device.options).length === 0 ? null : dictionary(device.options);
  succeed(context.create(type, which ?? null, settings), `open ${device.type}`);
  const { all } = await log.take();
  const nameInLog = firstGroup(device.nameInLog, all);
  return {
    context,
    name:
      nameInLog ?? (device.nameInFiles === undefined ? undefined : nameInFiles(device.nameInFiles, which)),
    software: device.softwareInLog !== undefined && new RegExp(device.softwareInLog, "m").test(all),
    [Symbol.dispose]: () => context.free(),
  };
}

type NameInFiles = NonNullable<NonNullable<Profile["device"]>["nameInFiles"]>;

/** CUDA counts devices in the order of their bus numbers, which is how the driver names their folders. */
function nameInFiles({ folder, file, match }: NameInFiles, which: string | undefined): string | undefined {
  const name = entries(folder).sort()[Number(which ?? 0)];
  if (name === undefined) return undefined;
  try {
    return firstGroup(match, readFileSync(join(folder, name, file), "utf8"));
  } catch {
    return undefined;
  }
}

const firstGroup = (pattern: string | undefined, text: string): string | undefined =>
  pattern === undefined ? undefined : new RegExp(pattern, "m").exec(text)?.[1]?.trim();
