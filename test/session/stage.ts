import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MixEventBody } from "../../src/contract/events.ts";
import { MixSpec, type MixSpecInput } from "../../src/contract/mix-spec.ts";
import { OutputSpec, type OutputSpecInput } from "../../src/contract/output-spec.ts";
import { SourceSpec, type SourceSpecInput } from "../../src/contract/source-spec.ts";
import type { Identified, MixState, ViewState, WorkerSettings } from "../../src/contract/worker.ts";
import { createLogger } from "../../src/core/log.ts";
import { rational } from "../../src/core/rational.ts";
import { us } from "../../src/core/time.ts";
import { type Clock, VirtualClock, wallTimeMs } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { TileCache } from "../../src/mixer/video/tile.ts";
import { Layouts } from "../../src/service/layouts.ts";
import { DecodingSlots } from "../../src/session/decoding-slot.ts";
import type { EncodeContext } from "../../src/session/encodes.ts";
import { Mix } from "../../src/session/mix.ts";
import { MixMeters } from "../../src/session/mix-meters.ts";
import type { PacketTaker } from "../../src/session/packet-takers.ts";
import { PipePublishers } from "../../src/session/publishers.ts";
import type { Source } from "../../src/session/source.ts";
import type { Publishers } from "../../src/session/source-opener.ts";
import { Stills } from "../../src/session/stills.ts";
import { View } from "../../src/session/view.ts";

const silent = createLogger("silent");
const layouts = new Layouts();

/** A view's state, small unless told otherwise. */
export const viewState = (over: Partial<ViewState> = {}): ViewState => ({
  id: "main",
  width: 160,
  height: 96,
  fps: "25/1",
  accel: "cpu",
  layout: layouts.resolve("grid", "/layout"),
  assign: {},
  revision: 1,
  ...over,
});

/** A view with everything it needs and nobody in it. */
export function emptyView(state: ViewState, stills = new Stills("/nowhere")): View {
  return new View(state, us(0), {
    sources: new Map<string, Source>(),
    tiles: new TileCache(),
    stills,
    meters: new MixMeters(),
    log: silent,
    virtual: false,
    speaker: () => null,
    steering: () => undefined,
    emit: () => undefined,
  });
}

/** What encoders need, on a clock that stands. */
export const encodeContext = (clock: Clock = new VirtualClock()): EncodeContext => ({
  clock,
  meters: new MixMeters(),
  sync: true,
});

/** Keeps what an encoder gives. */
export class Listener implements PacketTaker {
  readonly packets: Packet[] = [];
  readonly losses: string[] = [];

  take(packet: Packet): void {
    this.packets.push(packet);
  }

  lost(error: { readonly code: string }): void {
    this.losses.push(error.code);
  }

  get stampsUs(): number[] {
    return this.packets.map(({ ptsUs }) => ptsUs);
  }
}

export const outputSpec = (spec: OutputSpecInput & { id: string }): Identified<OutputSpec> =>
  OutputSpec.parse(spec) as Identified<OutputSpec>;
export const sourceSpec = (spec: SourceSpecInput & { id: string }): Identified<SourceSpec> =>
  SourceSpec.parse(spec) as Identified<SourceSpec>;

/** A live mix in this process, in a folder of its own, with its events. */
export class Stage implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "tessera-session-"));
  readonly events: MixEventBody[] = [];
  readonly mix: Mix;

  constructor(
    spec: MixSpecInput,
    settings: Partial<WorkerSettings> = {},
    publishers: Publishers = new PipePublishers(undefined),
  ) {
    this.mix = new Mix(stateOf(MixSpec.parse(spec)), {
      settings: {
        dataDir: this.folder,
        assetDir: this.folder,
        logLevel: "silent",
        clock: "live",
        overwrite: true,
        destinations: { allow: [], loopback: true },
        ...settings,
      },
      publishers,
      slots: new DecodingSlots(false),
      log: silent,
      emit: (_, event) => this.events.push(event),
    });
  }

  /** The types of its events that are about this source or output. */
  about(id: string): string[] {
    return this.events
      .filter(
        (event) => ("source" in event && event.source === id) || ("output" in event && event.output === id),
      )
      .map(({ type }) => type);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.mix.stop();
    await this.mix.finished;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function stateOf(spec: MixSpec): MixState {
  return {
    id: spec.id ?? "mix",
    revision: 1,
    audio: spec.audio,
    views: spec.views.map(({ layout, fps, ...view }) => {
      const { num, den } = rational(fps);
      return { ...view, fps: `${num}/${den}`, layout: layouts.resolve(layout, "/"), assign: {}, revision: 0 };
    }),
    sources: spec.sources as Identified<SourceSpec>[],
    outputs: spec.outputs as Identified<OutputSpec>[],
    emptyTimeoutS: null,
    epoch: { wallMs: wallTimeMs(), ptsUs: 0 },
    restarts: 0,
  };
}
