import { isIP } from "node:net";

/** What a receiver must know before the first packet. */
export interface RtpDescription {
  readonly host: string;
  readonly audioPort: number;
  readonly payloadType: number;
  readonly channels: number;
  readonly bitrateBps: number;
  readonly packetMs: number;
  readonly ssrc: number;
  readonly cname: string;
}

/** The session description of one Opus stream: RFC 8866, RFC 7587 §7, RFC 5576 for the SSRC. */
export function describeRtp(description: RtpDescription): string {
  const { host, audioPort, payloadType, channels, bitrateBps, packetMs, ssrc, cname } = description;
  const type = isIP(host) === 6 ? "IP6" : "IP4";
  const lines = [
    "v=0",
    `o=- ${ssrc} 1 IN ${type} ${host}`,
    "s=Tessera",
    `c=IN ${type} ${host}`,
    "t=0 0",
    `m=audio ${audioPort} RTP/AVP ${payloadType}`,
    `b=AS:${Math.ceil(bitrateBps / 1000)}`,
    // RFC 7587 §7: rate and channel count are always these, whatever is inside.
    `a=rtpmap:${payloadType} opus/48000/2`,
    `a=fmtp:${payloadType} sprop-stereo=${channels > 1 ? 1 : 0}; sprop-maxcapturerate=48000`,
    `a=ptime:${packetMs}`,
    `a=ssrc:${ssrc} cname:${cname}`,
    "a=sendonly",
  ];
  return `${lines.join("\r\n")}\r\n`;
}
