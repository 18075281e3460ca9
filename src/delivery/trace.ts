/**
 * Trace fields: the one block that we prepend to a message at acceptance, and the count of hops before us.
 * RFC 5321 §4.4 (Return-Path, Received), §6.3 (loops); RFC 3848 and RFC 6531 §4.3 (the names after "with").
 */
import { isIPv6 } from 'node:net';
import { RefusedError } from '../errors.ts';
import { RECEIVED_FIELDS } from '../limits.ts';
import type { HeaderField } from '../message/header.ts';

export interface TraceFacts {
  /** Reverse-path of the SMTP envelope; '' is the null one. null: none is written (the message goes on from here). */
  readonly returnPath: string | null;
  /** What the client called itself in HELO, EHLO or LHLO; not to be trusted. null: the message was made here. */
  readonly helo: string | null;
  /** The client's network address. */
  readonly remoteAddress: string;
  /** Our own name. */
  readonly host: string;
  readonly via: TransmissionFacts;
  /** What the client is told in the reply, and what logs show. */
  readonly id: string;
  readonly receivedAt: Date;
  /** The recipient, when the transaction has a single one: several would be told of each other (RFC 5321 §7.2). */
  readonly forRecipient: string | null;
}

export interface TransmissionFacts {
  readonly protocol: 'SMTP' | 'ESMTP' | 'LMTP';
  readonly isUtf8: boolean;
  readonly isAuthenticated: boolean;
  readonly tls: { readonly version: string; readonly cipher: string } | null;
}

/** @returns The octets to prepend, ending with CRLF. */
export function traceBlock(facts: TraceFacts): string {
  const returnPath = facts.returnPath === null ? '' : `Return-Path: <${facts.returnPath}>\r\n`;
  const tls = facts.via.tls;
  const lines = [
    `Received: from ${heloWord(facts.helo ?? '')} (${addressLiteral(facts.remoteAddress)})`,
    `by ${facts.host} with ${withWord(facts.via)}${tls === null ? '' : ` (${tls.version} ${tls.cipher})`} id ${facts.id}`,
  ];
  if (facts.helo === null) lines.splice(0, 2, `Received: by ${facts.host} id ${facts.id}`);
  if (facts.forRecipient !== null) lines.push(`for <${facts.forRecipient}>`);
  return `${returnPath}${lines.join('\r\n\t')}; ${formatDate(facts.receivedAt)}\r\n`;
}

/** IANA's "Mail Transmission Types": ESMTP, ESMTPS, ESMTPSA, LMTPS, UTF8SMTPSA ... */
export function withWord(via: TransmissionFacts): string {
  const base = via.isUtf8 ? (via.protocol === 'LMTP' ? 'UTF8LMTP' : 'UTF8SMTP') : via.protocol;
  if (base === 'SMTP') return base;
  return `${base}${via.tls === null ? '' : 'S'}${via.isAuthenticated ? 'A' : ''}`;
}

/** RFC 5322 §3.3, in UTC. */
export function formatDate(date: Date): string {
  return date.toUTCString().replace('GMT', '+0000');
}

/** @throws RefusedError 'mail-loop' when the message has passed RECEIVED_FIELDS servers. */
export function refuseLoop(fields: readonly HeaderField[]): void {
  let hops = 0;
  for (const field of fields) {
    if (field.name.length === 8 && field.name.toLowerCase() === 'received') hops++;
  }
  if (hops >= RECEIVED_FIELDS)
    throw new RefusedError('mail-loop', 'The message has too many Received fields');
}

/** The client's name as one word: what is no domain or literal would let it write into our comment or our date. */
function heloWord(helo: string): string {
  const word = helo.replace(/[^A-Za-z0-9._:[\]-]/g, '?').slice(0, 255);
  return word === '' ? 'unknown' : word;
}

/** RFC 5321 §4.1.3. */
function addressLiteral(address: string): string {
  return isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`;
}
