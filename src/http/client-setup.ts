/**
 * Tells mail clients where to connect: Thunderbird's autoconfig (version 1.1, as draft-ietf-mailmaint-autoconfig writes
 * it down) and Outlook's autodiscover (MS-OXDSCLI, "POX"). Both answer every address alike: who exists is not told.
 */
import type { FastifyInstance } from 'fastify';
import { readAutodiscoverRequest } from './autodiscover-request.ts';
import { element, XML_DECLARATION } from './xml.ts';

export interface ServiceAddress {
  readonly host: string;
  readonly port: number;
}

/** Both with TLS from the first octet. The user's name is the whole address. */
export interface ClientSettings {
  readonly imap: ServiceAddress;
  readonly smtp: ServiceAddress;
}

const RESPONSES = 'http://schemas.microsoft.com/exchange/autodiscover';
const OUTLOOK = `${RESPONSES}/outlook/responseschema/2006a`;
const DOMAIN_OF_ADDRESS = /^[^@]+@([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/i;

export function clientSetup(server: FastifyInstance, settings: ClientSettings): void {
  for (const path of ['/mail/config-v1.1.xml', '/.well-known/autoconfig/mail/config-v1.1.xml']) {
    server.get(path, (request, reply) => {
      const { emailaddress } = request.query as Record<string, unknown>;
      const domain = typeof emailaddress === 'string' ? DOMAIN_OF_ADDRESS.exec(emailaddress)?.[1] : undefined;
      reply.type('text/xml; charset=utf-8');
      return autoconfig(settings, domain ?? settings.imap.host);
    });
  }
  // Clients send text/xml, application/xml, or nothing.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  server.post('/autodiscover/autodiscover.xml', (request, reply) => {
    const asked = readAutodiscoverRequest(typeof request.body === 'string' ? request.body : '');
    reply.type('text/xml; charset=utf-8');
    if (asked === null) return autodiscoverError(600, 'Invalid Request');
    if (asked.responseSchema !== OUTLOOK) return autodiscoverError(601, 'Provider is not available');
    return autodiscover(settings, asked.address);
  });
}

function autoconfig({ imap, smtp }: ClientSettings, domain: string): string {
  const server = (name: string, type: string, { host, port }: ServiceAddress) =>
    element(name, { type }, [
      element('hostname', {}, host),
      element('port', {}, String(port)),
      element('socketType', {}, 'SSL'),
      element('authentication', {}, 'password-cleartext'),
      element('username', {}, '%EMAILADDRESS%'),
    ]);
  const provider = element('emailProvider', { id: domain }, [
    element('domain', {}, domain),
    element('displayName', {}, domain),
    element('displayShortName', {}, domain),
    server('incomingServer', 'imap', imap),
    server('outgoingServer', 'smtp', smtp),
  ]);
  return XML_DECLARATION + element('clientConfig', { version: '1.1' }, [provider]);
}

function autodiscover({ imap, smtp }: ClientSettings, address: string): string {
  const protocol = (type: string, { host, port }: ServiceAddress) =>
    element('Protocol', {}, [
      element('Type', {}, type),
      element('Server', {}, host),
      element('Port', {}, String(port)),
      element('LoginName', {}, address),
      element('DomainRequired', {}, 'off'),
      // Secure Password Authentication, which Outlook takes for on when nothing is said.
      element('SPA', {}, 'off'),
      element('SSL', {}, 'on'),
      element('Encryption', {}, 'TLS'),
      element('AuthRequired', {}, 'on'),
    ]);
  return autodiscoverResponse([
    element('Response', { xmlns: OUTLOOK }, [
      element('User', {}, [element('DisplayName', {}, address)]),
      element('Account', {}, [
        element('AccountType', {}, 'email'),
        element('Action', {}, 'settings'),
        protocol('IMAP', imap),
        protocol('SMTP', smtp),
      ]),
    ]),
  ]);
}

/** MS-OXDSCLI §2.2.4.1.1.1 and §3.2.5.1: errors are answered 200, with a code inside. */
function autodiscoverError(code: number, message: string): string {
  return autodiscoverResponse([
    element('Response', {}, [
      element('Error', {}, [element('ErrorCode', {}, String(code)), element('Message', {}, message)]),
    ]),
  ]);
}

const autodiscoverResponse = (content: readonly string[]): string =>
  XML_DECLARATION + element('Autodiscover', { xmlns: `${RESPONSES}/responseschema/2006` }, content);
