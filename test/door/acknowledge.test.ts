import { expect, test } from "vitest";
import { RtmpDoor } from "../../src/door/rtmp.ts";
import { LiveClock } from "../../src/media/clock.ts";
import { RTMP, u32Body } from "../../src/protocol/rtmp-message.ts";
import { until } from "../kit/process.ts";
import { RawPublisher } from "./raw-publisher.ts";

/** Of what Node reads of a socket at once: what looks as if more was waiting. */
const READ_BYTES = 65_536;
/** Video that no reader understands, of 131,072 bytes with a header of 12 bytes and one in every 128 more. */
const FRAME = Buffer.alloc(130_045, 0x2f);

/** A publisher that goes on only when what it sent was acknowledged, as RTMP 1.0 §5.4.3 allows it to. */
test("who waits for acknowledgements gets them, at whatever bytes it stops", async () => {
  const authorize = () => Promise.resolve({ allow: true } as const);
  await using door = await RtmpDoor.listen({ host: "127.0.0.1", port: 0, clock: new LiveClock(), authorize });
  await using raw = await RawPublisher.open(door.address.port);
  expect(await raw.publish("m")).toBe("NetStream.Publish.Start");
  raw.send(RTMP.windowAckSize, u32Body(2 * READ_BYTES), 0, 0, 2);
  for (let round = 1; round <= 4; round++) {
    const { bytesWritten } = raw.socket;
    raw.send(RTMP.video, FRAME, 1, round * 10);
    expect(raw.socket.bytesWritten - bytesWritten).toBe(2 * READ_BYTES);
    await until(`acknowledgement ${round}`, () => raw.acknowledged >= bytesWritten + READ_BYTES, 2000);
  }
});
