/** Networks of the configuration, in CIDR form, as a test of remote addresses. */
import { BlockList, isIPv6 } from 'node:net';

/** @param ranges `192.0.2.0/24`, `2001:db8::/32`. IPv4 addresses match in their IPv6-mapped form too. */
export function inNetworks(ranges: readonly string[]): (remoteAddress: string) => boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/');
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
  }
  return (remoteAddress) => list.check(remoteAddress, isIPv6(remoteAddress) ? 'ipv6' : 'ipv4');
}
