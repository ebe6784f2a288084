/** What the labels of an example are: one class, any number of classes, or numbers. */
export type LabelKind = 'class' | 'classes' | 'values';

/** What a task asks of data, training and prediction. Everything that differs between tasks is asked here. */
export interface Task {
  /** Its name in options, e.g. `multi-label`. */
  readonly kind: string;
  /** Its name in prose, e.g. `multi-label classification`. */
  readonly title: string;
  /** Its name in config.json. */
  readonly problemType: string;
  /** What an example's labels are; decides how they are read, divided and counted. */
  readonly labels: LabelKind;
  /** The loss, as transformers computes it for this problem_type. */
  readonly loss: 'cross_entropy' | 'binary_cross_entropy' | 'mean_squared_error';
  /** What turns logits (NC) into scores or values (NC). */
  readonly activation: 'softmax' | 'sigmoid' | 'identity';
}
