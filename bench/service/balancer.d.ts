import type { ChildProcess } from 'node:child_process';

/** A port that nobody listens on. */
export function freePort(): Promise<number>;

/** HAProxy in front of services on this machine, at these ports. */
export function startBalancer(
  folder: string,
  ports: readonly number[],
): Promise<{ child: ChildProcess; address: string }>;
