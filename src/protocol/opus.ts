import { ProtocolError } from "../core/error.ts";

/** Samples per millisecond of Opus's clock, whatever it was made from. */
const SAMPLES_PER_MS = 48;

/** Writes an OpusHead (RFC 7845 §5.1) for one or two channels, for encoders that give none. */
export function buildOpusHead(channels: number, preSkipSamples = 312): Buffer {
  const head = Buffer.alloc(19);
  head.write("OpusHead", "latin1");
  head[8] = 1;
  head[9] = channels;
  head.writeUInt16LE(preSkipSamples, 10);
  head.writeUInt32LE(48_000, 12);
  return head;
}

/**
 * How long an Opus packet lasts, in samples at 48 kHz, by its table of contents (RFC 6716 §3.1).
 *
 * @throws {ProtocolError} `ERR_PROTOCOL` if it is empty or longer than 120 ms.
 */
export function opusSamples(packet: Uint8Array): number {
  const toc = packet[0];
  if (toc === undefined) throw new ProtocolError("Opus: empty packet");
  const config = toc >> 3;
  const frameMs =
    config < 12
      ? [10, 20, 40, 60][config & 3]
      : config < 16
        ? [10, 20][config & 1]
        : [2.5, 5, 10, 20][config & 3];
  const code = toc & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 63;
  const samples = (frameMs ?? 20) * SAMPLES_PER_MS * frames;
  if (frames === 0 || samples > 120 * SAMPLES_PER_MS)
    throw new ProtocolError(`Opus: a packet of ${frames} frames`);
  return samples;
}
