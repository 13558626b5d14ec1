// What the workers of `tasks.ts` serve.

export function nothing(n: number): number {
  return n;
}

export async function later(n: number): Promise<number> {
  await Promise.resolve();
  return n;
}

export class Echo {
  nothing(n: number): number {
    return n;
  }
}
