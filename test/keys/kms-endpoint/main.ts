/**
 * The endpoint as a program:
 *
 *     node test/keys/kms-endpoint/main.ts --port 4599 --state keys.json --key 1234abcd-12ab-34cd-56ef-1234567890ab
 *
 * Prints one line of JSON once it listens. A key that the state file does not have is made. SIGTERM ends it.
 */
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { startControl } from './control.ts';
import { KeyTable, TEST_REGION } from './key-table.ts';
import { KmsEndpoint, TEST_ACCESS_KEY } from './server.ts';
import { readKeys, writeKeys } from './state-file.ts';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    'control-port': { type: 'string', default: '0' },
    region: { type: 'string', default: TEST_REGION },
    state: { type: 'string' },
    key: { type: 'string', multiple: true, default: [] },
    alias: { type: 'string' },
  },
});

const { host, region, state, alias } = values;
const keys = state === undefined ? new KeyTable() : readKeys(state);
for (const id of values.key) {
  if (keys.all.some((key) => key.id === id)) continue;
  keys.create({ id, region, ...(alias === undefined ? {} : { alias }) });
}
const save = () => {
  if (state !== undefined) writeKeys(state, keys);
};
save();

const endpoint = await KmsEndpoint.start({ keys, host, port: Number(values.port) });
const control = await startControl(endpoint, { host, port: Number(values['control-port']) }, save);
const { port } = control.address() as AddressInfo;
const ready = {
  url: endpoint.url,
  control: `http://${host}:${port}`,
  accessKeyId: TEST_ACCESS_KEY,
  keys: keys.all.map(({ arn }) => arn),
};
process.stdout.write(`${JSON.stringify(ready)}\n`);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    save();
    process.exit(0);
  });
}
