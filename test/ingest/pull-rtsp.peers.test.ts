import { expect, test } from "vitest";
import { counterVideo } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort } from "../kit/process.ts";
import { RtspServer } from "../kit/rtsp-server.ts";
import { failure, judgePackets, readAll, toneOf } from "./pulling.ts";

requirePeer(
  "ffmpeg",
  "gstreamer",
  "gst-rtsp-server",
)("RTSP from GStreamer's server", () => {
  test("every picture and the sound, with user and password in the URL", async () => {
    const file = await counterVideo({ seconds: 5, tone: 1000 });
    await using server = await RtspServer.open(file, await freePort());
    const packets = await readAll(server.url, { count: 120 });
    expect(judgePackets(packets)).toMatchObject({ unreadable: 0, first: 0, missed: [], backward: [] });
    expect(toneOf(packets, 1000)).toBeGreaterThan(-20);
  });

  test("a password that is escaped, as it should be", async () => {
    await using server = await RtspServer.open(
      await counterVideo({ seconds: 5, tone: 1000 }),
      await freePort(),
    );
    const packets = await readAll(server.url.replace("p4ss@1@", "p4ss%401@"), { count: 10 });
    expect(judgePackets(packets)).toMatchObject({ unreadable: 0, first: 0 });
  });

  test("a wrong password is refused by the server, and not told", async () => {
    const file = await counterVideo({ seconds: 5, tone: 1000 });
    await using server = await RtspServer.open(file, await freePort());
    const { code, message } = await failure(readAll(server.url.replace("p4ss", "wr0ng")));
    expect(code).toBe("ERR_PEER_REJECTED");
    expect(message).not.toMatch(/wr0ng|@1/);
  });
});
