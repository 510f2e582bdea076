import { afterEach, expect, test } from "vitest";
import { NativeFrame } from "../../src/native/frame.ts";
import { makeMedia } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { framesByFfmpeg, playFile } from "./playing.ts";

const picture = (size = "320x240", seconds = 2, rate = "30"): readonly string[] => [
  ...["-f", "lavfi", "-i", `testsrc2=size=${size}:rate=${rate}:duration=${seconds}`],
];
const x264 = (parameters: string, format = "yuv420p"): readonly string[] => [
  ...["-c:v", "libx264", "-preset", "fast", "-pix_fmt", format, "-x264-params", parameters],
];
const x265 = (parameters: string): readonly string[] => [
  ...["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p"],
  ...["-x265-params", `log-level=error:${parameters}`],
];

interface Case {
  readonly name: string;
  readonly container: string;
  readonly args: readonly string[];
}

const cases: readonly Case[] = [
  { name: "H.264, B-frames", container: "mp4", args: [...picture(), ...x264("bframes=3:b-pyramid=normal")] },
  { name: "H.264, B-frames", container: "mkv", args: [...picture(), ...x264("bframes=3:keyint=20")] },
  { name: "H.264, B-frames", container: "flv", args: [...picture(), ...x264("bframes=2")] },
  {
    name: "H.264, open GOP",
    container: "ts",
    args: [...picture(), ...x264("bframes=3:keyint=15:open-gop=1")],
  },
  {
    name: "H.264, zero latency",
    container: "mp4",
    args: [...picture(), ...x264("bframes=0:rc-lookahead=0")],
  },
  {
    name: "H.264, intra refresh",
    container: "ts",
    args: [...picture(), ...x264("intra-refresh=1:keyint=15:bframes=0")],
  },
  { name: "H.264, 4:4:4", container: "mp4", args: [...picture(), ...x264("bframes=2", "yuv444p")] },
  {
    name: "H.264, 4:2:2 10 bit",
    container: "mkv",
    args: [...picture(), ...x264("bframes=2", "yuv422p10le")],
  },
  {
    name: "H.264, size that is no multiple of 16",
    container: "mp4",
    args: [...picture("322x182"), ...x264("bframes=2")],
  },
  { name: "H.264 without a container", container: "h264", args: [...picture(), ...x264("bframes=0")] },
  { name: "HEVC", container: "mp4", args: [...picture(), ...x265("bframes=3:keyint=20"), "-tag:v", "hvc1"] },
  {
    name: "HEVC, open GOP",
    container: "ts",
    args: [...picture(), ...x265("bframes=3:keyint=20:open-gop=1")],
  },
  {
    name: "VP8",
    container: "webm",
    args: [...picture(), "-c:v", "libvpx", "-b:v", "500k", "-auto-alt-ref", "1", "-lag-in-frames", "10"],
  },
  {
    name: "VP8, odd size",
    container: "webm",
    args: [...picture("321x243"), "-c:v", "libvpx", "-b:v", "500k"],
  },
  {
    name: "VP9, hidden frames",
    container: "webm",
    args: [...picture(), "-c:v", "libvpx-vp9", "-cpu-used", "8", "-b:v", "500k"],
  },
  {
    name: "VP9, odd size, 4:4:4",
    container: "mkv",
    args: [...picture("321x243"), "-c:v", "libvpx-vp9", "-cpu-used", "8", "-pix_fmt", "yuv444p"],
  },
  { name: "AV1", container: "mp4", args: [...picture("320x240", 1), "-c:v", "libsvtav1", "-preset", "12"] },
  {
    name: "MPEG-2, B-frames",
    container: "ts",
    args: [...picture(), "-c:v", "mpeg2video", "-bf", "2", "-b:v", "2M"],
  },
  {
    name: "MPEG-4, B-frames",
    container: "avi",
    args: [...picture(), "-c:v", "mpeg4", "-bf", "2", "-b:v", "1M"],
  },
  {
    name: "Motion JPEG",
    container: "avi",
    args: [...picture("320x240", 1), "-c:v", "mjpeg", "-q:v", "4"],
  },
  {
    name: "ProRes 4:2:2 10 bit",
    container: "mov",
    args: [...picture("320x240", 1), "-c:v", "prores_ks"],
  },
  {
    name: "FFV1 16 bit",
    container: "mkv",
    args: [...picture("320x240", 1), "-c:v", "ffv1", "-pix_fmt", "yuv444p16le"],
  },
  {
    name: "raw RGB",
    container: "avi",
    args: [...picture("320x240", 1), "-c:v", "rawvideo", "-pix_fmt", "bgr24"],
  },
  {
    name: "variable frame rate",
    container: "mkv",
    args: [
      ...picture("320x240", 3),
      "-vf",
      "select='not(mod(n\\,3))+gt(n\\,60)'",
      "-fps_mode",
      "vfr",
      ...x264("bframes=2"),
    ],
  },
  {
    name: "variable frame rate",
    container: "mp4",
    args: [
      ...picture("320x240", 3),
      "-vf",
      "select='not(mod(n\\,5))+gt(n\\,60)'",
      "-fps_mode",
      "vfr",
      ...x264("bframes=2"),
    ],
  },
  {
    name: "29.97 frames per second",
    container: "mp4",
    args: [...picture("320x240", 2, "30000/1001"), ...x264("bframes=2")],
  },
];

afterEach(() => expect(NativeFrame.live).toBe(0));

requirePeer("ffmpeg")("pictures of files", () => {
  for (const { name, container, args } of cases) {
    test(`${name} in ${container}: every picture, in order, at its time`, async () => {
      const path = await makeMedia(args, container);
      const wanted = await framesByFfmpeg(path);
      const { pictures, video } = await playFile(path);
      expect(video).toMatchObject({ errors: 0, concealed: 0, reopened: 0 });
      expect(pictures.length).toBe(wanted.length);
      expect(pictures.map(({ md5 }) => md5)).toEqual(wanted.map(({ md5 }) => md5));
      expect(pictures[0]?.ptsUs).toBe(0);
      const first = wanted[0]?.ptsS ?? 0;
      for (const [index, { ptsUs }] of pictures.entries()) {
        expect(Math.abs(ptsUs / 1e6 - ((wanted[index]?.ptsS ?? 0) - first)), `picture ${index}`).toBeLessThan(
          0.0011,
        );
      }
    });
  }
});
