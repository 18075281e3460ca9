/**
 * Delivery status notifications as messages: RFC 3464, in a multipart/report (RFC 6522); with internationalized addresses
 * RFC 6533's forms. What is said here goes to the sender alone, who knows the addresses.
 */
import { randomUUID } from 'node:crypto';
import { isAscii } from '../message/ascii.ts';
import { formatDate } from './trace.ts';

/** What was said of a recipient: RFC 5321 §4.2 codes and RFC 3463 status codes. */
export interface RemoteReply {
  /** Three digits; null when nobody answered. */
  readonly code: number | null;
  /** 'class.subject.detail'. */
  readonly status: string;
  /** One line. Sealed at rest, never logged: servers quote addresses. */
  readonly text: string;
  /** Name of the server that answered, or was asked; null: none was. */
  readonly host: string | null;
}

/** RFC 3464 §2.3.3. */
export type ReportAction = 'failed' | 'delayed' | 'relayed' | 'delivered';

export interface ReportedRecipient {
  readonly address: string;
  /** `addr-type;address`, as the sender's ORCPT had it. */
  readonly originalRecipient: string | null;
  readonly reply: RemoteReply | null;
}

export interface Report {
  readonly action: ReportAction;
  readonly recipients: readonly ReportedRecipient[];
  /** Whom it is for: the message's reverse-path, never the null one. */
  readonly sender: string;
  readonly envelopeId: string | null;
  readonly arrivedAt: Date;
  /** Of what is delayed. */
  readonly retriesUntil: Date | null;
  /** Our own name. */
  readonly host: string;
  readonly at: Date;
  /** The message's header section, its empty line included. */
  readonly header: Buffer;
  /** The whole message; null: its header is returned alone. */
  readonly message: AsyncIterable<Buffer> | null;
}

const SUBJECTS: Readonly<Record<ReportAction, string>> = {
  failed: 'Your message was not delivered',
  delayed: 'Your message is delayed',
  relayed: 'Your message was sent on',
  delivered: 'Your message was delivered',
};

const SENTENCES: Readonly<Record<ReportAction, string>> = {
  failed: 'Your message could not be delivered to:',
  delayed: 'Your message could not be delivered yet. There is nothing that you need to do. It waits for:',
  relayed: 'Your message was handed to a server that does not report delivery. It was for:',
  delivered: 'Your message was delivered to:',
};

/** The octets of the notification, piece by piece. */
export async function* reportOctets(report: Report): AsyncGenerator<Buffer> {
  const { action, sender, host, at, header, message } = report;
  const isUtf8 = !isAscii(JSON.stringify([sender, report.recipients.map(({ address }) => address)]));
  const boundary = `=_${randomUUID()}`;
  const text = explanation(report);
  const isPlain = !isUtf8 && message === null && isAscii(header.toString('latin1') + text.join(''));
  const encoding = isPlain ? '7bit' : '8bit';
  const head = [
    `From: Mail Delivery System <MAILER-DAEMON@${host}>`,
    `To: <${sender}>`,
    `Subject: ${SUBJECTS[action]}`,
    `Date: ${formatDate(at)}`,
    `Message-ID: <${randomUUID()}@${host}>`,
    // RFC 3834 §5: nobody's absence assistant answers.
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=${isUtf8 ? 'global-delivery-status' : 'delivery-status'};`,
    `\tboundary="${boundary}"`,
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    ...text,
    '',
    `--${boundary}`,
    `Content-Type: message/${isUtf8 ? 'global-delivery-status' : 'delivery-status'}`,
    ...(isUtf8 ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
    ...statusFields(report),
    `--${boundary}`,
  ];
  yield lines(head);
  if (message === null) {
    yield lines([
      `Content-Type: ${isUtf8 ? 'message/global-headers' : 'text/rfc822-headers'}`,
      ...transfer(encoding),
      '',
    ]);
    yield header;
  } else {
    yield lines([`Content-Type: ${isUtf8 ? 'message/global' : 'message/rfc822'}`, ...transfer(encoding), '']);
    yield* message;
  }
  yield lines(['', `--${boundary}--`]);
}

function explanation({ action, recipients, host, retriesUntil }: Report): string[] {
  const text = [`This is the mail system at ${host}.`, '', SENTENCES[action], ''];
  for (const { address, reply } of recipients) {
    text.push(`  <${address}>`);
    if (reply !== null && action !== 'relayed' && action !== 'delivered') {
      const who = reply.host === null ? '' : reply.code === null ? ` (${reply.host})` : ` ${reply.host} said`;
      const code = reply.code === null ? '' : `${reply.code} `;
      text.push(...folded(`   ${who === '' ? '' : `${who}:`} ${code}${reply.text}`));
    }
  }
  if (action === 'delayed' && retriesUntil !== null)
    text.push('', `It will be tried again until ${formatDate(retriesUntil)}.`);
  if (action === 'failed') text.push('', 'It will not be tried again.');
  return text;
}

/** RFC 3464 §2.2 and §2.3. */
function statusFields(report: Report): string[] {
  const { action, recipients, envelopeId, arrivedAt, host, at, retriesUntil } = report;
  const fields = [
    ...(envelopeId === null ? [] : [`Original-Envelope-Id: ${asciiText(envelopeId)}`]),
    `Reporting-MTA: dns; ${host}`,
    `Arrival-Date: ${formatDate(arrivedAt)}`,
    '',
  ];
  for (const { address, originalRecipient, reply } of recipients) {
    if (originalRecipient !== null)
      fields.push(`Original-Recipient: ${asciiText(originalRecipient).replace(';', '; ')}`);
    fields.push(`Final-Recipient: ${isAscii(address) ? 'rfc822' : 'utf-8'}; ${address}`);
    fields.push(`Action: ${action}`, `Status: ${statusOf(action, reply)}`);
    if (reply?.host != null) fields.push(`Remote-MTA: dns; ${reply.host}`);
    // RFC 3464 §2.3.6: what the remote server said, not what we say of it.
    if (reply?.code != null)
      fields.push(...folded(`Diagnostic-Code: smtp; ${reply.code} ${reply.status} ${asciiText(reply.text)}`));
    fields.push(`Last-Attempt-Date: ${formatDate(at)}`);
    if (action === 'delayed' && retriesUntil !== null)
      fields.push(`Will-Retry-Until: ${formatDate(retriesUntil)}`);
    fields.push('');
  }
  return fields;
}

function statusOf(action: ReportAction, reply: RemoteReply | null): string {
  const status = reply?.status ?? (action === 'failed' ? '5.0.0' : action === 'delayed' ? '4.0.0' : '2.0.0');
  // RFC 3464 §2.3.4: a failure after many attempts keeps the class of what they met.
  return action === 'failed' && status.startsWith('2') ? '5.0.0' : status;
}

const transfer = (encoding: string): string[] =>
  encoding === '7bit' ? [] : [`Content-Transfer-Encoding: ${encoding}`];

const lines = (texts: readonly string[]): Buffer => Buffer.from(texts.map((line) => `${line}\r\n`).join(''));

/** Continued lines begin with a space, so that they also are folded fields (RFC 5322 §2.2.3). */
function folded(line: string): string[] {
  const parts: string[] = [];
  let rest = line;
  while (rest.length > FOLD_AT) {
    const at = rest.lastIndexOf(' ', FOLD_AT);
    if (at <= 4) break;
    parts.push(rest.slice(0, at));
    rest = `    ${rest.slice(at + 1)}`;
  }
  return [...parts, rest];
}
const FOLD_AT = 100;

/** xtext is not for this field; what is not ASCII was never meant to be read by programs. */
const asciiText = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?');
