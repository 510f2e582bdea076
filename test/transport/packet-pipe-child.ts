/** A child process that writes packets into its file descriptor 4 until it is killed, as a worker's other end. */
import { Socket } from "node:net";
import { us } from "../../src/core/time.ts";
import { LiveClock, sleep } from "../../src/media/clock.ts";
import { PacketPipeWriter } from "../../src/transport/packet-pipe-writer.ts";

const clock = new LiveClock();
const writer = new PacketPipeWriter(new Socket({ fd: 4 }), { clock });
const stream = writer.open("mix/child");
for (let index = 0; ; index++) {
  await stream.ready();
  const at = us(index * 20_000);
  const common = { ptsUs: at, dtsUs: at, durationUs: us(20_000), arrivalUs: clock.now() };
  stream.push({ kind: "audio", data: Buffer.alloc(100, index & 255), keyFrame: true, ...common });
  await sleep(clock, us(1000));
}
