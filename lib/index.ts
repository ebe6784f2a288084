/// <reference types="node" preserve="true" />

/**
 * Everything that `import ... from 'bertune'` offers.
 *
 * @module API
 */

export type { ServiceDisposeOptions, ServiceOptions, ServicePredictOptions } from './api/serving/options.js';
export { PredictionService } from './api/serving/service.js';
export type { BatchFigures, ServiceStatistics } from './api/serving/statistics.js';
export { type TrainTogetherOptions, trainTogether } from './api/together.js';
export { Trainer, type TrainOptions } from './api/trainer.js';
export type { ModelConfig } from './architectures/index.js';
export type { HeadKind } from './architectures/rows.js';
export {
  type DatasetFiles,
  type DatasetOptions,
  type DatasetWith,
  datasetFromRows,
  type HeldOut,
  type HeldOutName,
  type HoldoutOptions,
  loadDataset,
  type Split,
  type SplitName,
  type SplitOptions,
  type TextDataset,
  type TextRow,
} from './data/dataset.js';
export {
  type DatasetSummary,
  type Finding,
  type FindingKind,
  type LabelShare,
  type SplitSummary,
  type SummaryOptions,
  summarize,
  type TokenLengths,
  type ValueSummary,
} from './data/summary.js';
export { BertuneError, type ErrorCode } from './errors.js';
export {
  type FindDatasetOptions,
  type FindOptions,
  type Found,
  findDataset,
  findModel,
  type HubProgress,
} from './hub/index.js';
export { type Pushed, type PushOptions, type PushProgress, pushModel } from './hub/push.js';
export {
  type BitfitMethod,
  type BitfitOptions,
  bitfit,
  countParameters,
  type FullMethod,
  type FullOptions,
  full,
  type LinearMethod,
  type LinearOptions,
  type LogregMethod,
  type LogregOptions,
  type LoraMethod,
  type LoraOptions,
  linear,
  logreg,
  lora,
  METHOD_KINDS,
  type Method,
  type MethodKind,
  type ParameterCounts,
  type PrefixMethod,
  type PrefixOptions,
  prefix,
} from './methods/index.js';
export { type MultiLabelMetrics, multiLabelMetrics } from './metrics/multi-label.js';
export {
  type ColumnReport,
  type RegressionMetrics,
  type RegressionScores,
  regressionMetrics,
} from './metrics/regression.js';
export {
  type Averages,
  type ClassificationMetrics,
  type ClassReport,
  classificationMetrics,
} from './metrics/single-label.js';
export {
  type AdapterChoice,
  type AdapterInfo,
  type CardOptions,
  type ClassPrediction,
  type EmbedOptions,
  type EvaluateOptions,
  type HeadChoice,
  type LabelsPrediction,
  type LoadAdapterOptions,
  type LoadOptions,
  type Logits,
  type LogitsCallOptions,
  type OnnxOptions,
  type OwnPredictOptions,
  type Prediction,
  type PredictionExtras,
  type Predictions,
  type PredictOptions,
  type RankedLabel,
  type SaveOptions,
  type StreamOptions,
  TextClassifier,
  type TextInput,
  type TextKind,
  type ValuePrediction,
} from './model/classifier.js';
export type { Device, DeviceOptions, Precision } from './model/device.js';
export type { Calibration } from './model/evaluation.js';
export type { MemoryReport, Values } from './model/session.js';
export type { NativeParameterInfo as ParameterInfo } from './native/index.js';
export type { LongTextOptions, LongTexts, Truncation, WindowPooling } from './options/long-texts.js';
export { type TensorBoardLog, tensorBoard } from './report/tensorboard.js';
export type { MeasuredSplit, MetricFunctions } from './tasks/custom-metrics.js';
export type {
  EvaluatePass,
  EvaluateResult,
  Evaluations,
  MultiLabelEvaluation,
  RegressionEvaluation,
  SingleLabelEvaluation,
} from './tasks/evaluation.js';
export { type DefaultTask, type MetricName, TASK_KINDS, type TaskKind } from './tasks/index.js';
export type { Mistake, MistakenLabel } from './tasks/mistakes.js';
export { type EncodedTexts, type TextLimit, Tokenizer } from './tokenizer/index.js';
export type { ClassWeights } from './training/class-weights.js';
export { defaultLearningRate } from './training/defaults.js';
export type {
  EpochSummary,
  Progress,
  Resumption,
  SavedCheckpoint,
  TrainerEvents,
  TrainingPlan,
  TrainResult,
} from './training/events.js';
export {
  BEST_METRICS,
  type BestMetric,
  SAVE_STRATEGIES,
  type SaveStrategy,
  type TrainerOptions,
  type TrainerSettings,
} from './training/options.js';
export type { EpochRow } from './training/position.js';
export { SCHEDULES, type ScheduleName } from './training/schedule.js';
export type { EvaluateRow, LogHistoryRow, LogRow, TrainerState, TrainSummaryRow } from './training/state.js';
