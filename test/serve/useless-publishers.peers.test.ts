import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { RTMP } from "../../src/protocol/rtmp-message.ts";
import { RawPublisher } from "../door/raw-publisher.ts";
import { until } from "../kit/process.ts";
import { Served } from "./served.ts";

/** A byte of Speex in a tag of it. */
const SPEEX = Buffer.from("b200", "hex");

test("a publisher in a codec that is not taken is told which, and so are subscribers", async () => {
  await using node = await Served.start();
  await node.call("mix.create", { id: "m", sources: [{ kind: "rtmp", id: "cam" }] });
  await using raw = await RawPublisher.open(node.rtmpPort);
  expect(await raw.publish("m?source=cam")).toBe("NetStream.Publish.Start");
  const startedMs = performance.now();
  for (let at = 0; at < 10_000 && !raw.isClosed; at += 100) {
    raw.send(RTMP.audio, SPEEX, 1, at);
    await sleep(100);
  }
  expect(performance.now() - startedMs).toBeLessThan(6000);
  expect([raw.status, raw.description]).toEqual(["NetStream.Publish.Failed", expect.stringMatching(/speex/)]);
  const { error } = await node.happened("m", "source.offline", "cam");
  expect(error).toMatchObject({ code: "ERR_MEDIA_INVALID", message: expect.stringMatching(/speex/) });
});

test("who is refused and cut off is in the log, once a second at most, without a key or a token", async () => {
  await using node = await Served.start();
  await node.call("mix.create", { id: "m" });
  await using torn = await RawPublisher.open(node.rtmpPort);
  expect(await torn.publish("m?source=cam")).toBe("NetStream.Publish.Start");
  for (let n = 0; n < 20; n++) {
    await using refused = await RawPublisher.open(node.rtmpPort);
    expect(await refused.publish("a-secret-key?token=a-secret-token")).toMatch(/Unauthorized/);
  }
  await sleep(1100);
  torn.socket.write(Buffer.from("06000000ffffff0901000000", "hex"));
  const said = (text: string): string[] =>
    node.program.stderr.split("\n").filter((line) => line.includes(text));
  await until("who was cut off", () => said("connection cut off").length === 1);
  expect(said("connection cut off")[0]).toContain('"code":"ERR_LIMIT"');
  const refusals = said("publish refused");
  expect(refusals.length).toBeLessThan(8);
  expect(refusals[0]).toContain('"why":"Unauthorized"');
  expect(refusals[0]).toContain('"remote":"127.0.0.1"');
  expect(node.program.stderr).not.toMatch(/a-secret/);
});
