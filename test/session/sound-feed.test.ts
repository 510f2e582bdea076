import { expect, test } from "vitest";
import { DeviceError } from "../../src/core/error.ts";
import { us } from "../../src/core/time.ts";
import { audioSettings } from "../../src/encode/audio-settings.ts";
import { CHANNELS } from "../../src/media/frame.ts";
import { AudioMixer } from "../../src/mixer/audio/audio-mixer.ts";
import { AudioEncoder } from "../../src/native/audio-encoder.ts";
import { AudioEncode } from "../../src/session/encodes.ts";
import { MinusFeed } from "../../src/session/sound-feed.ts";
import { Listener } from "./stage.ts";

test("a listener whose own encoder does not open is lost, once; nobody else notices", () => {
  using mixer = new AudioMixer({ maxSpeakers: 4 });
  mixer.add("anna");
  const samples = new Float32Array(48_000 * CHANNELS).fill(0.1);
  mixer.push("anna", { ptsUs: us(0), samples, arrivalUs: us(0), discontinuity: false }, us(0));
  const encoder = AudioEncoder.open(audioSettings({}, "opus"), 0);
  const shared = new AudioEncode("audio-1", encoder, mixer.want());
  const [anna, other] = [new Listener(), new Listener()];
  shared.users.add(other);
  const feed = new MinusFeed({
    shared,
    user: anna,
    sound: mixer.want({ without: "anna" }),
    openOwn: () => {
      throw new DeviceError("there is no encoder left");
    },
    closeOwn: () => undefined,
  });
  for (let tick = 0; tick < 10; tick++) {
    mixer.tick(tick);
    feed.tick();
    shared.tick(us(0));
  }
  expect(anna.losses).toEqual(["ERR_DEVICE"]);
  expect([anna.packets.length, other.packets.length]).toEqual([0, 10]);
  feed.close();
  shared.close(us(0));
  expect(mixer.mixStats().sums).toBe(0);
});
