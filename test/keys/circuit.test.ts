import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { Circuit } from '../../src/keys/circuit.ts';

describe('a service that is not needed', () => {
  let now: number;
  let changes: (string | null)[];
  let circuit: Circuit;
  beforeEach(() => {
    now = 0;
    changes = [];
    circuit = new Circuit({ pauseMs: 10, now: () => now, onChange: (reason) => changes.push(reason) });
  });

  it('is left alone after a failure, then tried by one call at a time until it works', () => {
    for (const reason of ['slow', 'gone']) {
      circuit.begin();
      circuit.failed(reason);
    }
    assert.ok(circuit.isBroken && !circuit.mayTry);
    now = 10;
    assert.ok(circuit.mayTry);
    circuit.begin();
    assert.ok(!circuit.mayTry, 'one tries already');
    circuit.failed('slow');
    now = 19;
    assert.ok(!circuit.mayTry);
    now = 20;
    circuit.begin();
    circuit.succeeded();
    assert.ok(!circuit.isBroken && circuit.mayTry);
    circuit.begin();
    circuit.begin();
    assert.ok(circuit.mayTry, 'many at once while it works');
    assert.deepEqual(changes, ['slow', null]);
  });

  it('may be tried again after a call that said nothing of it', () => {
    circuit.begin();
    circuit.failed('full');
    now = 10;
    circuit.begin();
    circuit.undecided();
    assert.ok(circuit.isBroken && circuit.mayTry);
  });
});
