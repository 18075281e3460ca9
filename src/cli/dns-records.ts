/** What the DNS should have of a domain: `domain dns`. RFC 5321 (MX), 7208, 6376, 7489, 6186 and 8314 (SRV). */
import type { DkimKeyRow } from '../keys/key-store.ts';
import type { DkimRecord } from './admin-records.ts';

export interface DnsRecord {
  /** Without a dot at its end. */
  readonly name: string;
  readonly type: 'MX' | 'TXT' | 'SRV' | 'CNAME';
  readonly value: string;
}

/** Where clients find this server. */
export interface PublishedServer {
  readonly hostname: string;
  readonly imaps: { readonly host: string; readonly port: number } | null;
  readonly submissions: { readonly host: string; readonly port: number } | null;
}

export function dkimRecord({
  domain,
  selector,
  algorithm,
  publicKey,
  state,
  createdAt,
}: DkimKeyRow): DkimRecord {
  return {
    ...{ domain, selector, algorithm, state },
    createdAt: new Date(createdAt).toISOString(),
    name: `${selector}._domainkey.${domain}`,
    value: `v=DKIM1; k=${algorithm}; p=${publicKey.toString('base64')}`,
  };
}

export function dnsRecords(
  domain: string,
  { hostname, imaps, submissions }: PublishedServer,
  keys: readonly DkimKeyRow[],
): DnsRecord[] {
  const service = (name: string, at: PublishedServer['imaps']): DnsRecord[] =>
    at === null ? [] : [{ name: `${name}._tcp.${domain}`, type: 'SRV', value: `0 1 ${at.port} ${at.host}.` }];
  return [
    { name: domain, type: 'MX', value: `10 ${hostname}.` },
    // Of mail that goes through a smarthost, its operator says what to include.
    { name: domain, type: 'TXT', value: 'v=spf1 mx -all' },
    ...keys.map((key): DnsRecord => {
      const { name, value } = dkimRecord(key);
      return { name, type: 'TXT', value };
    }),
    { name: `_dmarc.${domain}`, type: 'TXT', value: `v=DMARC1; p=none; rua=mailto:postmaster@${domain}` },
    ...service('_imaps', imaps),
    ...service('_submissions', submissions),
    { name: `autoconfig.${domain}`, type: 'CNAME', value: `${hostname}.` },
    { name: `_autodiscover._tcp.${domain}`, type: 'SRV', value: `0 1 443 ${hostname}.` },
  ];
}

/** Whether a TXT record publishes the key. RFC 6376 §3.6.1: tags in any order, white space within p=. */
export function publishes(text: string, key: DkimKeyRow): boolean {
  const tags = new Map(
    text.split(';').map((tag): [string, string] => {
      const at = tag.indexOf('=');
      return [tag.slice(0, at).trim(), tag.slice(at + 1).replace(/\s/g, '')];
    }),
  );
  return tags.get('p') === key.publicKey.toString('base64') && (tags.get('k') ?? 'rsa') === key.algorithm;
}
