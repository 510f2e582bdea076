/**
 * FFmpeg formats that are read, from files and over HTTP: containers and raw streams, none of which can name another
 * file. Playlists, concatenations, image sequences and devices are not among them.
 */
export const CONTAINER_FORMATS: readonly string[] = [
  ["mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "mpegts", "mpeg", "mpegvideo", "avi", "flv"],
  [
    "live_flv",
    "asf",
    "mxf",
    "nut",
    "ogg",
    "ivf",
    "obu",
    "h264",
    "hevc",
    "m4v",
    "dv",
    "gif",
    "yuv4mpegpipe",
    "rm",
  ],
  ["wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "ac3", "eac3", "amr", "wv", "tta", "ape", "dts"],
].flat();
