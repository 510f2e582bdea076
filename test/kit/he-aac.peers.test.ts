import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { decodePcm } from "./decode.ts";
import { heAacFile } from "./he-aac.ts";
import { requirePeer } from "./peers.ts";
import { runToEnd } from "./process.ts";
import { toneLevelDb } from "./spectrum.ts";

const folder = mkdtempSync(join(tmpdir(), "tessera-he-aac-"));
afterAll(() => rmSync(folder, { recursive: true }));

requirePeer("ffmpeg", "gstreamer")("HE-AAC that tests make", () => {
  test.each([1, 2] as const)(
    "is taken for version %d by decoders that know nothing of us",
    async (version) => {
      const options = { version, signalling: "hierarchical" } as const;
      const path = join(folder, `v${version}`);
      const flv = await heAacFile(path, 440, 2, options, "flv");
      const show = ["-show_entries", "stream=profile,sample_rate", "-of", "csv=p=0"];
      const { stdout, stderr } = await runToEnd("ffprobe", ["-v", "warning", ...show, flv]);
      expect(stdout.trim()).toBe(version === 1 ? "HE-AAC,48000" : "HE-AACv2,48000");
      expect(stderr).toBe("");

      const aac = await heAacFile(path, 440, 2, { version, signalling: "implicit" }, "aac");
      const wav = `${path}.wav`;
      const line = `filesrc location=${aac} ! aacparse ! faad ! wavenc ! filesink location=${wav}`;
      await runToEnd("gst-launch-1.0", ["-q", ...line.split(" ")]);
      const { samples } = await decodePcm(wav);
      expect(Math.abs(samples.length / 48_000 - 2)).toBeLessThan(0.1);
      const middle = samples.subarray(24_000, 72_000);
      expect(toneLevelDb(middle, 440)).toBeGreaterThan(-20); // It makes two sides of one, each softer.
      for (const wrongHz of [220, 880]) expect(toneLevelDb(middle, wrongHz)).toBeLessThan(-60);
    },
  );
});
