import { existsSync } from "node:fs";
import { connect } from "node:tls";
import { expect, test } from "vitest";
import { FaultyPeer } from "./faults.ts";
import { probe } from "./judge.ts";
import { movingVideo } from "./media.ts";
import { Nginx, Stunnel } from "./nginx.ts";
import { requirePeer } from "./peers.ts";
import { Program, until } from "./process.ts";

const push = async (url: string) => {
  const input = await movingVideo({ tone: 500 });
  const pace = ["-nostdin", "-re", "-stream_loop", "-1", "-i", input];
  return Program.start("ffmpeg", [...pace, "-c", "copy", "-f", "flv", url], { maxMs: 30_000 });
};

requirePeer("ffmpeg", "nginx-rtmp")("nginx as RTMP server", () => {
  test("tells who publishes what, records it, and can drop a publisher", async () => {
    await using nginx = await Nginx.open({ record: true });
    expect(await nginx.streams()).toEqual([]);
    await using publisher = await push(`${nginx.url}/one`);
    const stream = await until("it publishes", async () => {
      const one = await nginx.stream("one");
      return one?.video && one.bytesIn > 100_000 && one;
    });
    expect(stream).toMatchObject({
      isPublishing: true,
      clients: 1,
      video: { codec: "H264", width: 640, height: 360 },
      audio: { codec: "AAC", channels: 1 },
    });
    expect(await nginx.dropPublisher("one")).toBe(1);
    expect((await publisher.exited).code).not.toBe(0);
    await until("the stream is gone", async () => !(await nginx.stream("one"))?.isPublishing);
    const [recording] = nginx.recordings();
    const probed = await probe(recording ?? "");
    expect(probed).toMatchObject({ video: { codec_name: "h264", width: 640 }, audio: { codec_name: "aac" } });
    expect(await nginx.dropPublisher("one")).toBe(0);
  });

  test("does not say that anybody publishes who cannot get through", async () => {
    await using nginx = await Nginx.open();
    await using between = await FaultyPeer.open(nginx.rtmpPort, "mute");
    await using _publisher = await push(`rtmp://127.0.0.1:${between.port}/live/two`);
    await until("its handshake was read", () => between.bytesFromClients > 1000);
    expect(between.bytesToClients).toBe(0);
    expect(await nginx.stream("two")).toBeUndefined();
  });

  test("leaves nothing behind", async () => {
    let folder = "";
    {
      await using nginx = await Nginx.open({ record: true });
      await using _publisher = await push(`${nginx.url}/three`);
      folder = await until("a recording", () => nginx.recordings()[0]);
      expect(existsSync(folder)).toBe(true);
    }
    expect(existsSync(folder)).toBe(false);
  });
});

requirePeer(
  "ffmpeg",
  "nginx-rtmp",
  "stunnel",
  "openssl",
)("stunnel before nginx", () => {
  test("speaks TLS with a certificate that has to be trusted", async () => {
    await using nginx = await Nginx.open();
    await using tunnel = await Stunnel.open(nginx.rtmpPort);
    const shake = (trust: boolean) =>
      new Promise((resolve, reject) => {
        const ca = trust
          ? { ca: [process.getBuiltinModule("node:fs").readFileSync(tunnel.certificate)] }
          : {};
        const socket = connect({ port: tunnel.port, host: "127.0.0.1", ...ca }, () =>
          resolve(socket.authorized),
        );
        socket.on("error", reject).on("secureConnect", () => void socket.destroy());
      });
    expect(await shake(true)).toBe(true);
    await expect(shake(false)).rejects.toThrow(/self-signed/);
  });
});
