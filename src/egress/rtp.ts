import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { aborted } from "../core/aborted.ts";
import { checkCarried } from "../core/carried.ts";
import { errorInfo, InvalidArgumentError, PeerUnreachableError, TesseraError } from "../core/error.ts";
import { Backoff } from "../core/retry.ts";
import { type Micros, ms, seconds } from "../core/time.ts";
import { type Clock, LiveClock, sleep, VirtualClock, wallTimeMs } from "../media/clock.ts";
import type { Packet } from "../media/packet.ts";
import { RTP_HEADER_BYTES, writeRtpHeader, writeSenderReport } from "../protocol/rtp-packet.ts";
import { type Resolve, resolveHost } from "../transport/resolve-host.ts";
import { DropCount } from "./drop-count.ts";
import type { Egress, EgressEvent, EgressStats, EgressStreams } from "./egress.ts";
import { EventQueue } from "./event-queue.ts";
import { describeRtp } from "./rtp-sdp.ts";
import { SharedSocket } from "./rtp-socket.ts";

/** Where to send sound, and as what. */
export interface RtpOptions {
  readonly host: string;
  /** Even by custom: sender reports go to the next one (RFC 3550 §11). */
  readonly audioPort: number;
  /** Dynamic, agreed with the receiver; 111 by custom. */
  readonly payloadType?: number;
  /** Opus only; video is not sent. */
  readonly streams: EgressStreams;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** Checks a host and finds its addresses; the first is sent to. */
  readonly resolve?: Resolve;
}

/** An RTP output; {@link sdp} is what its receiver needs. */
export interface RtpEgress extends Egress {
  sdp(): string;
}

/** Opus's RTP clock ticks at 48 kHz, whatever it was made from (RFC 7587 §4.1). */
const TICKS_PER_MS = 48;
/** A step this much beyond the packet's length is a pause, so that the next packet opens a talkspurt. */
const PAUSE_US = ms(60);
const REPORT_EVERY = seconds(5);
const PACKET_MS = 20;

/**
 * Sends Opus packets over RTP to a UDP port. Returns at once; there is no peer to wait for, so it is live as soon as
 * the host has an address.
 *
 * Cheap by design: all senders of a process share one socket, and all that send the same packet share its bytes.
 *
 * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if the port is none, or the sound is not Opus.
 */
export const openRtp = (options: RtpOptions): RtpEgress => new RtpSender(options);

class RtpSender implements RtpEgress {
  readonly #options: RtpOptions;
  readonly #payloadType: number;
  readonly #clock: Clock;
  readonly #events = new EventQueue();
  readonly #abort = new AbortController();
  readonly #ssrc = randomBytes(4).readUInt32BE(0);
  /** RFC 3550 §5.1: random, so that known plaintext is harder to find. */
  readonly #firstTimestamp = randomBytes(4).readUInt32BE(0);
  readonly #cname = randomBytes(12).toString("base64url"); // RFC 7022 §4.2
  readonly #running: Promise<void>;
  #sequence = randomBytes(2).readUInt16BE(0);
  #socket: SharedSocket | undefined;
  #address = "";
  #lastPtsUs: Micros | undefined;
  #reportedUs: Micros | undefined;
  #packets = 0;
  #bytes = 0;
  readonly #drops = new DropCount("slow", "away");
  #retries = 0;

  constructor(options: RtpOptions) {
    const { audioPort, payloadType = 111, streams, signal } = options;
    if (!Number.isInteger(audioPort) || audioPort < 1 || audioPort > 65_535)
      throw new InvalidArgumentError("audioPort", `is no port: ${audioPort}`);
    if (streams.audio === undefined) throw new InvalidArgumentError("streams", "holds no sound");
    checkCarried("rtp", { audio: streams.audio.codec }, "/streams");
    this.#options = options;
    this.#payloadType = payloadType;
    this.#clock = options.clock instanceof VirtualClock ? new LiveClock() : options.clock;
    const onAbort = (): void => void this.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#running = this.#run().finally(() => signal?.removeEventListener("abort", onAbort));
    if (signal?.aborted) void this.close();
  }

  get events(): AsyncIterable<EgressEvent> {
    return this.#events;
  }

  push(packet: Packet): void {
    if (packet.kind !== "audio" || this.#abort.signal.aborted) return;
    const socket = this.#socket;
    if (socket === undefined) {
      this.#drops.add("away");
      return;
    }
    const { ptsUs, data } = packet;
    const marker = this.#lastPtsUs === undefined || Math.abs(ptsUs - this.#lastPtsUs) > PAUSE_US;
    this.#lastPtsUs = ptsUs;
    const payloadType = this.#payloadType;
    const header = {
      marker,
      payloadType,
      sequence: this.#sequence,
      timestamp: this.#timestamp(ptsUs),
      ssrc: this.#ssrc,
    };
    this.#sequence = (this.#sequence + 1) & 0xffff;
    if (socket.send([writeRtpHeader(header), data], this.#options.audioPort, this.#address)) {
      this.#packets += 1;
      this.#bytes += data.byteLength;
    } else this.#drops.add("slow");
    if (this.#reportedUs === undefined || ptsUs - this.#reportedUs >= REPORT_EVERY)
      this.#report(ptsUs, false);
  }

  /** UDP takes what it gets. */
  drained(): Promise<void> {
    return Promise.resolve();
  }

  stats(): EgressStats {
    const bytes = this.#bytes + this.#packets * RTP_HEADER_BYTES;
    return { bytes, frames: 0, ...this.#drops.read(), retries: this.#retries };
  }

  sdp(): string {
    const { host, audioPort, streams } = this.#options;
    return describeRtp({
      host,
      audioPort,
      payloadType: this.#payloadType,
      channels: streams.audio?.channels ?? 2,
      bitrateBps: streams.audio?.bitrateBps ?? 64_000,
      packetMs: PACKET_MS,
      ssrc: this.#ssrc,
      cname: this.#cname,
    });
  }

  async close(): Promise<void> {
    if (!this.#abort.signal.aborted && this.#lastPtsUs !== undefined) this.#report(this.#lastPtsUs, true);
    this.#abort.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(): Promise<void> {
    this.#events.emit({ type: "connecting" });
    const backoff = new Backoff({ firstMs: 500, maxMs: 15_000 });
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const error = await this.#connect(signal);
      if (error === undefined) await aborted(signal);
      else if (!error.retryable) {
        this.#events.emit({ type: "failed", error: errorInfo(error) });
        break;
      } else {
        const inMs = Math.round(backoff.next());
        this.#retries += 1;
        this.#events.emit({ type: "retrying", error: errorInfo(error), inMs });
        await sleep(this.#clock, ms(inMs), signal).catch(() => {});
      }
    }
    this.#socket?.release();
    this.#socket = undefined;
    this.#events.emit({ type: "ended" });
  }

  /** Finds the address; undefined if that worked. */
  async #connect(signal: AbortSignal): Promise<TesseraError | undefined> {
    const { host, resolve = resolveHost } = this.#options;
    try {
      const [address] = await Promise.race([resolve(host, signal), aborted(signal).then(() => [])]);
      if (signal.aborted) return undefined;
      const family = address === undefined ? 0 : isIP(address);
      if (address === undefined || (family !== 4 && family !== 6))
        return new PeerUnreachableError(`${host} has no address`);
      this.#address = address;
      this.#socket = SharedSocket.take(family);
      this.#events.emit({ type: "live" });
      return undefined;
    } catch (cause) {
      return cause instanceof TesseraError
        ? cause
        : new PeerUnreachableError(`cannot resolve ${host}`, { cause });
    }
  }

  #timestamp(ptsUs: Micros): number {
    return (this.#firstTimestamp + Math.round((ptsUs * TICKS_PER_MS) / 1000)) % 2 ** 32;
  }

  /** What ties the stream's stamps to wall time, so that a receiver can align it with others. */
  #report(ptsUs: Micros, leaves: boolean): void {
    this.#reportedUs = ptsUs;
    const report = {
      ssrc: this.#ssrc,
      wallMs: wallTimeMs(),
      timestamp: this.#timestamp(ptsUs),
      packets: this.#packets,
      bytes: this.#bytes,
      cname: this.#cname,
    };
    const port = this.#options.audioPort + 1;
    if (port < 65_536) this.#socket?.send([writeSenderReport(report, leaves)], port, this.#address);
  }
}
