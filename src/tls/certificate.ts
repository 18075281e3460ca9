/**
 * The server's certificate: read from its files, and read again when they change, so that a renewed one is used without
 * a restart. Whoever renews may write the two files one after the other: what does not fit together is refused, the
 * old certificate stays, and the files are looked at again.
 */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { RefusedError } from '../errors.ts';
import { CERTIFICATE_POLL_MS } from '../limits.ts';

export interface CertificateOptions {
  /** PEM: the certificate, then the chain up to, not with, its root. */
  readonly certificateFile: string;
  /** PEM, without a passphrase. */
  readonly keyFile: string;
  /** Default CERTIFICATE_POLL_MS. */
  readonly pollMs?: number;
  readonly log: CertificateLog;
}

/** The part of a logger that is used here; pino's is one. */
export interface CertificateLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

interface Loaded {
  /** What the files looked like when they were read. */
  readonly mark: string;
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
  readonly expiresAt: Date;
}

export class Certificate {
  readonly #options: CertificateOptions;
  readonly #listeners: ((options: SecureContextOptions) => void)[] = [];
  readonly #timer: NodeJS.Timeout;
  #loaded: Loaded;
  #reloading: Promise<boolean> | null = null;

  /** @throws RefusedError 'invalid' when the files cannot be read or do not fit together. */
  static async open(options: CertificateOptions): Promise<Certificate> {
    return new Certificate(options, await load(options));
  }

  private constructor(options: CertificateOptions, loaded: Loaded) {
    this.#options = options;
    this.#loaded = loaded;
    this.#timer = setInterval(() => void this.#poll(), options.pollMs ?? CERTIFICATE_POLL_MS).unref();
    this.#noteExpiry();
  }

  /** For the next handshake. TLS 1.2 or later. */
  get secureContext(): SecureContext {
    return this.#loaded.context;
  }

  /** The same for servers that make their own context. */
  get secureContextOptions(): SecureContextOptions {
    return this.#loaded.options;
  }

  get expiresAt(): Date {
    return this.#loaded.expiresAt;
  }

  /** Calls back after each change, with what to use from then on. */
  onChange(listener: (options: SecureContextOptions) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Reads the files now, whether they look changed or not.
   * @returns false when they cannot be used: the old certificate stays, and the log has an error.
   */
  reload(): Promise<boolean> {
    this.#reloading ??= this.#replace().finally(() => {
      this.#reloading = null;
    });
    return this.#reloading;
  }

  /** Stops looking. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #poll(): Promise<void> {
    // A file that is missing for a moment, between a removal and a rename, looks changed.
    const mark = await markOf(this.#options).catch(() => null);
    if (mark !== this.#loaded.mark) await this.reload();
  }

  async #replace(): Promise<boolean> {
    try {
      this.#loaded = await load(this.#options);
    } catch (error) {
      this.#options.log.error({ err: error }, 'the new certificate cannot be used, the old one stays');
      return false;
    }
    for (const listener of this.#listeners) listener(this.#loaded.options);
    this.#noteExpiry();
    return true;
  }

  #noteExpiry(): void {
    const { expiresAt } = this.#loaded;
    if (expiresAt.getTime() < Date.now())
      this.#options.log.error({ expiresAt }, 'the certificate has expired');
    else this.#options.log.info({ expiresAt }, 'certificate in use');
  }
}

async function load({ certificateFile, keyFile }: CertificateOptions): Promise<Loaded> {
  try {
    // Before the contents: a change in between is then seen by the next look.
    const mark = await markOf({ certificateFile, keyFile });
    const [cert, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)]);
    const options: SecureContextOptions = { cert, key, minVersion: 'TLSv1.2' };
    return {
      mark,
      options,
      context: createSecureContext(options),
      expiresAt: new Date(new X509Certificate(cert).validTo),
    };
  } catch (cause) {
    throw new RefusedError('invalid', 'The certificate and its key cannot be used.', cause);
  }
}

async function markOf(files: Pick<CertificateOptions, 'certificateFile' | 'keyFile'>): Promise<string> {
  const stats = await Promise.all([stat(files.certificateFile), stat(files.keyFile)]);
  return stats.map(({ ino, size, mtimeMs, ctimeMs }) => [ino, size, mtimeMs, ctimeMs].join(' ')).join(', ');
}
