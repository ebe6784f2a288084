import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { load, loadAll } from 'js-yaml';
import { ROOT } from '../docs/project.js';

const read = (name: string) => readFileSync(join(ROOT, 'examples/service', name), 'utf8');
const [main, app, metrics] = [read('main.js'), read('app.js'), read('metrics.js')];

/** Expects flags that main.js takes, and gives their values. */
function flagsOf(args: readonly string[]): Record<string, string> {
  const flags = Object.fromEntries(args.map((arg) => /^--([a-z-]+)=(.+)$/.exec(arg)!.slice(1) as [string, string]));
  for (const name of Object.keys(flags)) expect(main).to.match(new RegExp(`^ {4}'?${name}'?: \\{ type`, 'm'));
  return flags;
}

describe('replicas of examples/service', () => {
  it('on Kubernetes: names that fit, routes and metrics that there are, and time to end', () => {
    // biome-ignore lint/suspicious/noExplicitAny: manifests of several kinds
    const manifests = loadAll(read('kubernetes.yaml')) as any[];
    const kinds = ['Deployment', 'ConfigMap', 'Service', 'HorizontalPodAutoscaler', 'PodDisruptionBudget'];
    expect(manifests.map(({ kind }) => kind)).to.deep.equal(kinds);
    const [deployment, list, service, scaler, budget] = manifests;
    const { template, selector, strategy } = deployment.spec;
    const [container] = template.spec.containers;
    const flags = flagsOf(container.args);
    expect(template.metadata.labels).to.include(selector.matchLabels);
    expect(service.spec.selector).to.deep.equal(selector.matchLabels);
    expect(budget.spec.selector).to.deep.equal(selector);
    expect(scaler.spec.scaleTargetRef).to.include({ kind: 'Deployment', name: deployment.metadata.name });
    expect(scaler.spec.minReplicas).to.be.greaterThan(budget.spec.maxUnavailable);
    expect(strategy.rollingUpdate).to.deep.equal({ maxSurge: 1, maxUnavailable: 0 });
    const [{ pods }] = scaler.spec.metrics;
    expect(metrics).to.contain(`'${pods.metric.name}'`);
    expect(app).to.contain(`'${container.readinessProbe.httpGet.path}'`).and.contain("'/ready'");
    expect(app).to.contain(`'${container.livenessProbe.httpGet.path}'`);
    expect(container.ports[0]).to.deep.equal({ name: 'http', containerPort: 8080 });
    expect(service.spec.ports[0].targetPort).to.equal('http');
    const { drain, grace } = times(flags, template.spec.terminationGracePeriodSeconds);
    expect(grace).to.be.greaterThan(drain);
    // Out of the Service in time: the probe that fails, and as long again for the nodes to hear of it.
    expect(Number(flags['drain-delay'])).to.be.greaterThan(2 * container.readinessProbe.periodSeconds);
    const { mountPath } = container.volumeMounts.find(({ name }: { name: string }) => name === 'adapters');
    const [file] = Object.keys(list.data);
    expect(flags.adapters).to.equal(`${mountPath}/${file}`);
    expect(JSON.parse(list.data[file!])).to.be.an('object');
  });

  it('in containers behind HAProxy, which sees that one ends before it does', () => {
    // biome-ignore lint/suspicious/noExplicitAny: a compose file
    const { services } = load(read('compose.yaml')) as any;
    const { command, stop_grace_period, deploy } = services.service;
    const flags = flagsOf(command);
    const { drain, grace } = times(flags, Number(/^(\d+)s$/.exec(stop_grace_period)![1]));
    expect(grace).to.be.greaterThan(drain);
    expect(deploy.replicas).to.equal(2);
    const config = read('haproxy.cfg');
    const [, interval] = /inter (\d+)ms fall 1 /.exec(config)!;
    expect(1000 * Number(flags['drain-delay'])).to.be.greaterThan(2 * Number(interval));
    expect(config).to.contain('server-template replica 10 service:8080').and.contain('uri /ready ');
  });
});

/** Seconds that it may take to end, and that it is given. */
function times(flags: Record<string, string>, grace: number): { drain: number; grace: number } {
  return { drain: Number(flags['drain-delay']) + Number(flags['drain-seconds']), grace };
}
