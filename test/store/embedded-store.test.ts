import { describeStoreContract } from './contract.ts';
import { StoreFixture } from './support.ts';

describeStoreContract('embedded', () => StoreFixture.open());
describeStoreContract('embedded, all absorbed at once', async () => {
  const fixture = await StoreFixture.open();
  fixture.absorbsAtOnce = true;
  return fixture;
});
