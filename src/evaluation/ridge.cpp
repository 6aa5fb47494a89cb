#include "evaluation/ridge.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/fail.h"

namespace imagerank::evaluation {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A vector that occurs in several examples, once: how often with each label.
struct Aggregate {
  std::vector<std::uint32_t> rows;
  Eigen::MatrixXd label_counts;  // [rows, classes]
};

Aggregate aggregate(const LabelledRows& examples, std::size_t table_rows, std::int32_t class_count) {
  std::vector<std::uint32_t> place(table_rows, std::numeric_limits<std::uint32_t>::max());
  Aggregate result;
  for (std::size_t i = 0; i < examples.rows.size(); ++i) {
    const auto row = examples.rows[i];
    const auto label = examples.labels[i];
    if (row >= table_rows || label < 0 || label >= class_count) {
      fail(ErrorCode::kInvalidArgument, "ridge: example {} has row {} and label {}, expected below {} and {}", i, row,
           label, table_rows, class_count);
    }
    if (place[row] == std::numeric_limits<std::uint32_t>::max()) {
      place[row] = static_cast<std::uint32_t>(result.rows.size());
      result.rows.push_back(row);
    }
  }
  result.label_counts.setZero(static_cast<Eigen::Index>(result.rows.size()), class_count);
  for (std::size_t i = 0; i < examples.rows.size(); ++i) {
    result.label_counts(place[examples.rows[i]], examples.labels[i]) += 1.0;
  }
  return result;
}

/// Vector `row` of the table, L2-normalised; zero stays zero.
Eigen::RowVectorXf normalised(std::span<const float> vectors, std::size_t dim, std::uint32_t row) {
  const Eigen::Map<const Eigen::RowVectorXf> vector(vectors.data() + std::size_t{row} * dim,
                                                    static_cast<Eigen::Index>(dim));
  const float norm = vector.norm();
  return norm > 0.0F ? Eigen::RowVectorXf(vector / norm) : Eigen::RowVectorXf(vector);
}

struct Moments {
  Eigen::VectorXd mean;         // [dim]
  Eigen::VectorXd shares;       // [classes]
  Eigen::MatrixXd covariance;   // [dim, dim], lower triangle
  Eigen::MatrixXd correlation;  // [dim, classes]: with the one-hot labels
};

Moments moments(std::span<const float> vectors, std::size_t dim, const Aggregate& data) {
  const auto columns = static_cast<Eigen::Index>(dim);
  const Eigen::VectorXd weights = data.label_counts.rowwise().sum();
  const double total = weights.sum();
  Moments result;
  result.shares = data.label_counts.colwise().sum().transpose() / total;
  result.mean.setZero(columns);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    result.mean += weights[static_cast<Eigen::Index>(i)] / total *
                   normalised(vectors, dim, data.rows[i]).transpose().cast<double>();
  }
  result.covariance.setZero(columns, columns);
  result.correlation.setZero(columns, data.label_counts.cols());
  // Blocks keep memory flat and let float32 products be summed in float64.
  constexpr std::size_t kBlock = 512;
  const Eigen::RowVectorXf mean = result.mean.transpose().cast<float>();
  for (std::size_t begin = 0; begin < data.rows.size(); begin += kBlock) {
    const std::size_t size = std::min(kBlock, data.rows.size() - begin);
    const auto first = static_cast<Eigen::Index>(begin);
    const auto count = static_cast<Eigen::Index>(size);
    RowMajor block(count, columns);
    for (std::size_t i = 0; i < size; ++i) {
      block.row(static_cast<Eigen::Index>(i)) = normalised(vectors, dim, data.rows[begin + i]) - mean;
    }
    const Eigen::MatrixXf targets =
        (data.label_counts.middleRows(first, count) - weights.segment(first, count) * result.shares.transpose())
            .cast<float>();
    result.correlation += (block.transpose() * targets).cast<double>() / total;
    block.array().colwise() *= weights.segment(first, count).cast<float>().array().sqrt();
    Eigen::MatrixXf product = Eigen::MatrixXf::Zero(columns, columns);
    product.selfadjointView<Eigen::Lower>().rankUpdate(block.transpose());
    result.covariance += product.cast<double>() / total;
  }
  return result;
}

RidgeModel solve(const Moments& moments, double penalty) {
  const auto dim = moments.mean.size();
  const double scale = std::max(moments.covariance.diagonal().mean(), 1e-12);
  Eigen::MatrixXd system = moments.covariance;
  system.diagonal().array() += penalty * scale;
  const Eigen::MatrixXd weights = system.selfadjointView<Eigen::Lower>().llt().solve(moments.correlation);
  const Eigen::VectorXd bias = moments.shares - weights.transpose() * moments.mean;
  RidgeModel model;
  model.dim = static_cast<std::size_t>(dim);
  model.class_count = static_cast<std::int32_t>(moments.shares.size());
  model.penalty = penalty;
  model.weights.assign(weights.data(), weights.data() + weights.size());  // column-major [dim, classes]
  model.bias.assign(bias.data(), bias.data() + bias.size());
  return model;
}

double squared_error(const RidgeModel& model, std::span<const float> vectors, const Aggregate& data) {
  double error = 0.0;
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    const auto scores = model.scores(vectors.subspan(std::size_t{data.rows[i]} * model.dim, model.dim));
    for (std::int32_t label = 0; label < model.class_count; ++label) {
      const double times = data.label_counts(static_cast<Eigen::Index>(i), label);
      if (times <= 0.0) continue;
      for (std::int32_t c = 0; c < model.class_count; ++c) {
        error += times * std::pow(scores[static_cast<std::size_t>(c)] - (c == label ? 1.0 : 0.0), 2);
      }
    }
  }
  return error;
}

}  // namespace

std::vector<double> RidgeModel::scores(std::span<const float> vector) const {
  const auto columns = static_cast<Eigen::Index>(dim);
  const Eigen::VectorXd unit = normalised(vector, dim, 0).transpose().cast<double>();
  const Eigen::Map<const Eigen::MatrixXd> matrix(weights.data(), columns, class_count);
  const Eigen::Map<const Eigen::VectorXd> offset(bias.data(), class_count);
  const Eigen::VectorXd result = matrix.transpose() * unit + offset;
  return {result.data(), result.data() + result.size()};
}

RidgeModel fit_ridge(std::span<const float> vectors, std::size_t dim, std::int32_t class_count,
                     const LabelledRows& train, const LabelledRows& validation) {
  if (train.rows.empty() || dim == 0) {
    fail(ErrorCode::kInvalidArgument, "ridge: {} training rows of {} numbers, expected at least one of each",
         train.rows.size(), dim);
  }
  const std::size_t table_rows = vectors.size() / dim;
  const auto statistics = moments(vectors, dim, aggregate(train, table_rows, class_count));
  if (validation.rows.empty()) return solve(statistics, 1.0);
  const auto held_out = aggregate(validation, table_rows, class_count);
  RidgeModel best;
  double best_error = std::numeric_limits<double>::infinity();
  for (int exponent = -3; exponent <= 3; ++exponent) {
    auto model = solve(statistics, std::pow(10.0, exponent));
    const double error = squared_error(model, vectors, held_out);
    if (error < best_error) {
      best_error = error;
      best = std::move(model);
    }
  }
  return best;
}

}  // namespace imagerank::evaluation
