import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { dirname } from "node:path";
import { footage } from "./footage.ts";
import type { Report, Row } from "./report.ts";
import { medianRow } from "./rounds.ts";
import { isRunning, Server, type Stretch } from "./tessera.ts";
import type { Check } from "./validity.ts";
import type { Effort, Workload } from "./workload.ts";

/** (e) Four talkers and many listeners, each with an Opus stream of their own on a real UDP socket. */
export const listeners: Workload = {
  name: "listeners",
  title: "(e) 4 talkers and 10, 100, 500 listeners over RTP",
  seconds: 20,
  rounds: 1,
  run: runListeners,
};

const COUNTS = [10, 100, 500] as const;
const TALKERS = 4;
/** One Opus packet per 20 ms. */
const PACKETS_PER_SECOND = 50;

interface Measured extends Stretch {
  readonly count: number;
  readonly encodes: number;
  readonly leastPackets: number;
  readonly lost: number;
}

/** One listener: counts packets, and gaps in their sequence numbers (RFC 3550 §5.1). */
class Listener implements Disposable {
  readonly #socket: Socket = createSocket("udp4");
  #next: number | undefined;
  packets = 0;
  lost = 0;

  async open(): Promise<number> {
    this.#socket.on("message", (packet) => {
      const isMedia = packet.length >= 12 && (packet[0] ?? 0) >> 6 === 2 && !isRtcp(packet[1] ?? 0);
      if (!isMedia) return;
      const sequence = packet.readUInt16BE(2);
      if (this.#next !== undefined) this.lost += (sequence - this.#next + 65_536) % 65_536;
      this.#next = (sequence + 1) % 65_536;
      this.packets += 1;
    });
    this.#socket.bind(0, "127.0.0.1");
    await once(this.#socket, "listening");
    return this.#socket.address().port;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** RFC 5761 §4: packet types 192 to 223 are RTCP. */
const isRtcp = (second: number): boolean => second >= 192 && second <= 223;

async function runListeners({ seconds }: Effort): Promise<Report> {
  const { files, kind } = await footage(9, 60);
  const measured = await measureLive(files.slice(0, TALKERS), seconds);
  const [few, , many] = measured;
  const added = (many?.count ?? 0) - (few?.count ?? 0);
  const perSecond = ({ cpuSeconds, wallSeconds }: Stretch): number => cpuSeconds / wallSeconds;
  const cores = few && many ? (perSecond(many) - perSecond(few)) / added : Number.NaN;
  return {
    name: listeners.name,
    title: listeners.title,
    seconds,
    footage: kind,
    rows: measured.map(rowOf),
    figures: [
      { what: "each added listener, percent of a core", value: cores * 100, atMost: 0.25, unit: " %" },
      {
        what: "encodes with 500 listeners (talkers + 1)",
        value: many?.encodes ?? Number.NaN,
        atMost: TALKERS + 1,
      },
    ],
    validity: measured.flatMap((one) => checksOf(one, seconds)),
    notes: ["The four talkers listen too, each to the mix without themselves; all others share one encode."],
  };
}

async function measureLive(talkers: readonly string[], seconds: number): Promise<Measured[]> {
  await using server = await Server.open([dirname(talkers[0] ?? "")]);
  using open = new DisposableStack();
  const ears: Listener[] = [];
  const addEar = async (without?: string) => {
    const ear = open.use(new Listener());
    ears.push(ear);
    const audio = { codec: "opus" as const, ...(without === undefined ? {} : { without }) };
    const id = `l${ears.length}`;
    return { id, view: null, kind: "rtp" as const, host: "127.0.0.1", audioPort: await ear.open(), audio };
  };
  const sources = talkers.map((url, n) => ({
    ...{ id: `t${n}`, kind: "pull" as const, url, loop: true },
    audio: { policy: "speaker" as const },
  }));
  const own = await Promise.all(sources.map(({ id }) => addEar(id)));
  const mix = await server.createMix({ views: [], sources, outputs: own }, isRunning);
  const measured: Measured[] = [];
  for (const count of COUNTS) {
    while (ears.length < count + TALKERS) await server.call("output.add", { mix, output: await addEar() });
    await server.stretch(3);
    const before = ears.map(({ packets, lost }) => ({ packets, lost }));
    const stretch = await server.stretch(seconds);
    const { audio } = await server.stats(mix);
    const heard = ears.map(({ packets }, n) => packets - (before[n]?.packets ?? 0));
    const lost = ears.reduce((sum, one, n) => sum + one.lost - (before[n]?.lost ?? 0), 0);
    const cores = (stretch.cpuSeconds / stretch.wallSeconds).toFixed(2);
    console.warn(`${count} listeners: ${cores} cores, ${audio.encodes} encodes, ${lost} packets lost`);
    measured.push({ ...stretch, count, encodes: audio.encodes, leastPackets: Math.min(...heard), lost });
  }
  return measured;
}

const checksOf = ({ count, leastPackets, lost, wallSeconds }: Measured, seconds: number): Check[] => [
  {
    what: `${count} listeners: everybody got every packet`,
    ok: leastPackets >= PACKETS_PER_SECOND * seconds * 0.99 && lost === 0,
    found: `at least ${leastPackets} of ${Math.round(PACKETS_PER_SECOND * wallSeconds)}, ${lost} lost`,
  },
];

const rowOf = (measured: Measured): Row => ({
  ...medianRow(`tessera, ${measured.count} listeners`, [measured]),
  also: { "Opus encodes": measured.encodes },
});
