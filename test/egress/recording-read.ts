import { FormatContext, Packet as NativePacket } from "node-av";
import { AVMEDIA_TYPE_VIDEO } from "node-av/constants";

/** A packet as FFmpeg's demuxer finds it in a file. */
export interface ReadPacket {
  readonly kind: "video" | "audio";
  /** In seconds. */
  readonly ptsS: number;
  readonly keyFrame: boolean;
  readonly data: Buffer;
}

/** Every packet of `path`, in the file's order, but for those that only warm up a decoder: they stand before 0. */
export function readPackets(path: string): ReadPacket[] {
  const context = new FormatContext();
  if (context.openInputSync(path, null, null) < 0) throw new Error(`${path}: cannot be opened`);
  context.findStreamInfoSync(null);
  const { streams } = context;
  const packets: ReadPacket[] = [];
  const packet = new NativePacket();
  packet.alloc();
  while (context.readFrameSync(packet) >= 0) {
    const stream = streams[packet.streamIndex];
    if (stream === undefined) continue;
    const kind = stream.codecpar.codecType === AVMEDIA_TYPE_VIDEO ? "video" : "audio";
    const ptsS = (Number(packet.pts) * stream.timeBase.num) / stream.timeBase.den;
    if (ptsS >= 0)
      packets.push({ kind, ptsS, keyFrame: packet.isKeyframe, data: Buffer.from(packet.data ?? []) });
    packet.unref();
  }
  packet.free();
  context.closeInputSync();
  return packets;
}
