/** Verifies DKIM signatures with mailauth, an implementation that is not ours, by the keys of a DNS server of the test. */
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import type { DnsServer } from '../support/dns-server.ts';

/** @returns For each signature `algorithm domain verdict`, sorted. */
export async function verifiedBy(dns: DnsServer, octets: Buffer): Promise<string[]> {
  const { results } = await dkimVerify(octets, {
    resolver: async (name: string, type: string) => {
      const entry = dns.entries[name];
      if (type !== 'TXT' || entry === undefined || typeof entry === 'string') {
        throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' });
      }
      return (entry.TXT ?? []).map((text) => [text]);
    },
  });
  return results
    .filter(({ status }) => status.result !== 'none')
    .map(({ algo, signingDomain, status }) => `${algo} ${signingDomain} ${status.result}`)
    .sort();
}
