/**
 * The AWS SDK's clients, one for each region that a key is in. Retries are the SDK's `standard` mode: back-off with
 * jitter, longer when throttled, and a budget that runs dry in an outage, so that a dead service is not flooded.
 */
import type { KMSClient, KMSClientConfig } from '@aws-sdk/client-kms';
import { RefusedError } from '../errors.ts';
import { AWS_ATTEMPT_MS, AWS_ATTEMPTS, AWS_CALLS, AWS_CONNECT_MS } from '../limits.ts';

export type Sdk = typeof import('@aws-sdk/client-kms');

export interface AwsServiceOptions {
  /** The key of organizations that chose none: id, ARN, alias or alias ARN. */
  readonly defaultKeyId: string;
  /** Of keys whose id is no ARN. null: that of the default key's ARN, or the SDK's own (AWS_REGION, profile). */
  readonly region: string | null;
  /** URL for the region above; null: the SDK's own. Other regions always have the SDK's own. */
  readonly endpoint: string | null;
  /** Of further regions, by region; for tests of several. */
  readonly endpoints?: Readonly<Record<string, string>>;
  /** Default: the SDK's own chain, which is environment, profile, web identity, container, instance. */
  readonly credentials?: NonNullable<KMSClientConfig['credentials']>;
  /** Default: AWS_CONNECT_MS and AWS_ATTEMPT_MS. */
  readonly times?: AttemptTimes;
}

/** Milliseconds, of each attempt. */
export interface AttemptTimes {
  /** Until TCP and TLS stand. */
  readonly connectMs: number;
  /** Until the answer begins, and between two pieces of it. */
  readonly attemptMs: number;
}

export class AwsClients {
  readonly #sdk: Sdk;
  readonly #options: AwsServiceOptions;
  readonly #homeRegion: string;
  readonly #clients = new Map<string, KMSClient>();

  /** @throws RefusedError 'invalid' when nothing tells the region. Asks nobody on the network. */
  static async open(sdk: Sdk, options: AwsServiceOptions): Promise<AwsClients> {
    const region = options.region ?? regionOfArn(options.defaultKeyId) ?? (await regionOfEnvironment(sdk));
    return new AwsClients(sdk, options, region);
  }

  private constructor(sdk: Sdk, options: AwsServiceOptions, homeRegion: string) {
    this.#sdk = sdk;
    this.#options = options;
    this.#homeRegion = homeRegion;
  }

  regionOf(keyId: string): string {
    return regionOfArn(keyId) ?? this.#homeRegion;
  }

  /** The client for the region of this key. */
  of(keyId: string): KMSClient {
    const region = this.regionOf(keyId);
    let client = this.#clients.get(region);
    if (client === undefined) {
      client = new this.#sdk.KMSClient(this.#config(region));
      this.#clients.set(region, client);
    }
    return client;
  }

  #config(region: string): KMSClientConfig {
    const { credentials, endpoints, times } = this.#options;
    const { connectMs, attemptMs } = times ?? { connectMs: AWS_CONNECT_MS, attemptMs: AWS_ATTEMPT_MS };
    const endpoint = region === this.#homeRegion ? this.#options.endpoint : endpoints?.[region];
    const agent = { keepAlive: true, maxSockets: AWS_CALLS };
    return {
      region,
      ...(endpoint == null ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      retryMode: 'standard',
      maxAttempts: AWS_ATTEMPTS,
      requestHandler: {
        connectionTimeout: connectMs,
        // Ends with the answer's header; without the second key the SDK only warns.
        requestTimeout: attemptMs,
        throwOnRequestTimeout: true,
        // The answer's body.
        socketTimeout: attemptMs,
        httpAgent: agent,
        httpsAgent: agent,
      },
    };
  }
}

async function regionOfEnvironment(sdk: Sdk): Promise<string> {
  try {
    return await new sdk.KMSClient({}).config.region();
  } catch (cause) {
    const sentence = 'No AWS region: give keys.aws.keyId as an ARN, or set keys.aws.region or AWS_REGION.';
    throw new RefusedError('invalid', sentence, cause);
  }
}

const regionOfArn = (keyId: string): string | null => /^arn:[\w-]+:kms:([\w-]+):/.exec(keyId)?.[1] ?? null;
