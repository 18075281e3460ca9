/** The key service that the configuration names. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../config/load.ts';
import { AwsKeyService } from '../keys/aws-service.ts';
import { LocalKeyService } from '../keys/local-service.ts';
import type { KeyService } from '../keys/service.ts';

/** @throws as LocalKeyService.open and AwsKeyService.open do. */
export async function openKeyService({ keys, keysDirectory }: Config, log: Logger): Promise<KeyService> {
  switch (keys.service) {
    case 'local': {
      // A new root key opens nothing that the old one wrapped: one is made only where there are no wrapped keys yet.
      const isNew = !existsSync(join(keysDirectory, 'keys.db'));
      await mkdir(dirname(keys.rootKeyFile), { recursive: true, mode: 0o700 });
      return LocalKeyService.open({ path: keys.rootKeyFile, mayCreate: isNew });
    }
    case 'aws': {
      const { keyId, region, endpoint } = keys.aws;
      if (endpoint?.startsWith('http:')) {
        log.warn(
          { endpoint },
          'opened keys cross the network in clear between the key service and this server',
        );
      }
      // The configuration is refused without a key id.
      return AwsKeyService.open({ defaultKeyId: keyId!, region, endpoint });
    }
    default:
      return keys.service satisfies never;
  }
}
