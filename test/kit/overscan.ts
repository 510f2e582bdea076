import { AV_PKT_DATA_FRAME_CROPPING, AVIO_FLAG_WRITE } from "node-av/constants";
import { FormatContext, IOContext, Packet } from "node-av/lib";

/**
 * Copies a file with one stream of pictures to `to`, whose container then says to cut `px` off each side: as a clean
 * aperture in MP4 and MOV, as PixelCrop in Matroska. Debian's ffmpeg is too old to write either.
 */
export async function withOverscan(from: string, to: string, px: number): Promise<void> {
  const input = new FormatContext();
  succeed(input.openInputSync(from, null, null));
  succeed(input.findStreamInfoSync(null));
  const [source] = input.streams;
  if (source === undefined) throw new Error(`${from} has no stream`);
  const output = new FormatContext();
  succeed(output.allocOutputContext2(null, null, to));
  const target = output.newStream(null);
  succeed(source.codecpar.copy(target.codecpar));
  target.codecpar.codecTag = 0;
  target.timeBase = source.timeBase;
  const edges = Buffer.alloc(16);
  for (const offset of [0, 4, 8, 12]) edges.writeUInt32LE(px, offset);
  succeed(target.codecpar.addCodedSideData(AV_PKT_DATA_FRAME_CROPPING, edges));
  const io = new IOContext();
  succeed(await io.open2(to, AVIO_FLAG_WRITE));
  output.pb = io;
  succeed(output.writeHeaderSync(null));
  copyPackets(input, output);
  succeed(output.writeTrailerSync());
  await output.closeOutput();
  output.freeContext();
  await input.closeInput();
}

function copyPackets(input: FormatContext, output: FormatContext): void {
  using packet = new Packet();
  packet.alloc();
  while (input.readFrameSync(packet) >= 0) {
    packet.rescaleTs(timeBase(input), timeBase(output));
    succeed(output.interleavedWriteFrameSync(packet));
  }
}

function timeBase({ streams }: FormatContext): NonNullable<FormatContext["streams"][0]>["timeBase"] {
  const [stream] = streams;
  if (stream === undefined) throw new Error("no stream");
  return stream.timeBase;
}

function succeed(code: number): void {
  if (code < 0) throw new Error(`libav says ${code}`);
}
