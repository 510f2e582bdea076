/** Fixed header of an RTP packet (RFC 3550 §5.1), without contributing sources and extension. */
export interface RtpHeader {
  /** First packet after a pause (RFC 7587 §4.2 for Opus). */
  readonly marker: boolean;
  readonly payloadType: number;
  /** 16 bits, wraps. */
  readonly sequence: number;
  /** 32 bits of the payload's clock, wraps. */
  readonly timestamp: number;
  readonly ssrc: number;
}

export const RTP_HEADER_BYTES = 12;
const VERSION_2 = 0x80;

/** Writes a header to send in front of a payload, which need not be copied. */
export function writeRtpHeader(header: RtpHeader): Buffer {
  const bytes = Buffer.allocUnsafe(RTP_HEADER_BYTES);
  bytes[0] = VERSION_2;
  bytes[1] = (header.marker ? 0x80 : 0) | header.payloadType;
  bytes.writeUInt16BE(header.sequence & 0xffff, 2);
  bytes.writeUInt32BE(header.timestamp >>> 0, 4);
  bytes.writeUInt32BE(header.ssrc >>> 0, 8);
  return bytes;
}

/** What a sender says of itself now and then (RFC 3550 §6.4.1). */
export interface SenderReport {
  readonly ssrc: number;
  /** Wall time of `timestamp`, in milliseconds since the Unix epoch. */
  readonly wallMs: number;
  readonly timestamp: number;
  readonly packets: number;
  readonly bytes: number;
  readonly cname: string;
}

/** Seconds from 1900, where NTP counts from, to 1970 (RFC 3550 §4). */
const NTP_EPOCH_S = 2_208_988_800;
const RTCP = { senderReport: 200, sourceDescription: 202, bye: 203 } as const;

/** A compound packet of sender report and CNAME, and BYE if the sender leaves (RFC 3550 §6.1). */
export function writeSenderReport(report: SenderReport, leaves: boolean): Buffer {
  const bytes = Buffer.alloc(28);
  rtcpHeader(bytes, 0, RTCP.senderReport);
  bytes.writeUInt32BE(report.ssrc, 4);
  const whole = Math.floor(report.wallMs / 1000);
  bytes.writeUInt32BE((whole + NTP_EPOCH_S) % 2 ** 32, 8);
  bytes.writeUInt32BE(Math.floor(((report.wallMs / 1000 - whole) * 2 ** 32) % 2 ** 32), 12);
  bytes.writeUInt32BE(report.timestamp >>> 0, 16);
  bytes.writeUInt32BE(report.packets >>> 0, 20);
  bytes.writeUInt32BE(report.bytes >>> 0, 24);
  return Buffer.concat([
    bytes,
    sourceDescription(report.ssrc, report.cname),
    ...(leaves ? [bye(report.ssrc)] : []),
  ]);
}

/** RFC 3550 §6.5: one chunk with a CNAME, ended and padded with zeros to 32 bits. */
function sourceDescription(ssrc: number, cname: string): Buffer {
  const text = Buffer.from(cname).subarray(0, 255);
  const bytes = Buffer.alloc(8 + Math.ceil((2 + text.length + 1) / 4) * 4);
  rtcpHeader(bytes, 1, RTCP.sourceDescription);
  bytes.writeUInt32BE(ssrc, 4);
  bytes[8] = 1; // CNAME
  bytes[9] = text.length;
  text.copy(bytes, 10);
  return bytes;
}

function bye(ssrc: number): Buffer {
  const bytes = Buffer.alloc(8);
  rtcpHeader(bytes, 1, RTCP.bye);
  bytes.writeUInt32BE(ssrc, 4);
  return bytes;
}

function rtcpHeader(bytes: Buffer, count: number, type: number): void {
  bytes[0] = VERSION_2 | count;
  bytes[1] = type;
  bytes.writeUInt16BE(bytes.length / 4 - 1, 2);
}
