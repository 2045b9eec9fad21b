//! `ninja run --dry-run`: the plan, and what its model calls may come to.

use ninja_sdk::api::{Forecast, ForecastStep, Outlook, Span, dollars};

use super::{Exit, Output};
use crate::format::{columns, number, one_line};

/// Shows what was foreseen. Ends with 1 where a step would fail as it stands.
pub(super) fn show(forecast: &Forecast, output: &Output) -> Exit {
    let wrong: Vec<String> = forecast.steps.iter().filter_map(wrong).collect();
    let exit = if wrong.is_empty() { Exit::Done } else { Exit::Failed };
    if output.json {
        output.json(forecast);
        return exit;
    }
    for line in table(forecast) {
        output.say(&line);
    }
    for line in wrong {
        output.note(&line);
    }
    if !forecast.assumed.is_empty() {
        output.note(&format!("assumed: {}", one_line(&forecast.assumed.join("; "))));
    }
    let Outlook { tokens, cost_micro_usd, unpriced_calls, .. } = forecast.total;
    if unpriced_calls > 0 {
        output
            .note(&format!("the price of {} calls is not known, so the cost is without them", number(unpriced_calls)));
    }
    let is_below = |amount: fn(Span) -> u64| {
        [tokens, cost_micro_usd].into_iter().any(|span| span.most.is_some_and(|most| most < amount(span)))
    };
    if is_below(|span| span.least) {
        output.note("its budget is not enough: the task would wait for more");
    } else if is_below(|span| span.likely) {
        output.note("its budget is likely not enough: the task would wait for more");
    }
    output.note("nothing was begun, and no model was asked");
    exit
}

fn wrong(step: &ForecastStep) -> Option<String> {
    let error = step.error.as_ref()?;
    Some(format!("{} would fail: {}", step.id, one_line(&error.to_string())))
}

/// Writes the steps below each other, with all together at the end.
fn table(forecast: &Forecast) -> Vec<String> {
    let mut rows = vec![["step", "who", "model", "calls", "tokens", "cost"].map(str::to_owned)];
    rows.extend(forecast.steps.iter().map(|step| {
        let who = step.actor.as_deref().unwrap_or(step.kind.as_str());
        let model = step.model.as_ref().map_or_else(String::new, |model| one_line(&model.to_string()));
        row([step.id.to_string(), one_line(who), model], &step.outlook)
    }));
    rows.push(row(["all".to_owned(), String::new(), String::new()], &forecast.total));
    columns(3, &rows)
}

fn row([step, who, model]: [String; 3], outlook: &Outlook) -> [String; 6] {
    let Outlook { calls, tokens, cost_micro_usd, unpriced_calls } = outlook;
    if calls.most == Some(0) {
        return [step, who, model, String::new(), String::new(), String::new()];
    }
    let cost = match *unpriced_calls > 0 && *unpriced_calls == calls.likely {
        true => "unknown".to_owned(),
        false => span(*cost_micro_usd, dollars),
    };
    [step, who, model, span(*calls, number), span(*tokens, number), cost]
}

/// Writes what is likely, and between what it is.
fn span(Span { least, likely, most }: Span, write: impl Fn(u64) -> String) -> String {
    match most {
        Some(most) if (least, likely) == (most, most) => write(likely),
        Some(most) => format!("{} ({} to {})", write(likely), write(least), write(most)),
        None => format!("{} ({} or more)", write(likely), write(least)),
    }
}

#[cfg(test)]
mod tests {
    use ninja_sdk::api::{ModelRef, StepKind};

    use super::*;

    #[test]
    fn steps_stand_below_each_other_with_all_at_the_end() {
        let span = |least, likely, most| Span { least, likely, most };
        let outlook = Outlook {
            calls: span(1, 5, Some(20)),
            tokens: span(1_020, 12_000, Some(400_000)),
            cost_micro_usd: span(2_000, 15_000, None),
            unpriced_calls: 0,
        };
        let step = |id: &str, kind, actor: Option<&str>, outlook| ForecastStep {
            id: id.parse().unwrap(),
            kind,
            title: None,
            actor: actor.map(str::to_owned),
            after: Vec::new(),
            model: actor.map(|_| ModelRef { provider: "openai".to_owned(), model: "gpt-5.4-mini".to_owned() }),
            outlook,
            error: None,
        };
        let steps = vec![
            step("look", StepKind::Agent, Some("analyst"), outlook),
            step("may-i", StepKind::Approval, None, Outlook::NOTHING),
            step("tell", StepKind::Agent, Some("writer"), Outlook { unpriced_calls: 5, ..outlook }),
        ];
        let total = outlook.plus(outlook);
        let wanted = [
            "step   who       model                       calls                     tokens                     cost",
            "look   analyst   openai/gpt-5.4-mini   5 (1 to 20)  12,000 (1,020 to 400,000)  $0.015 ($0.002 or more)",
            "may-i  approval",
            "tell   writer    openai/gpt-5.4-mini   5 (1 to 20)  12,000 (1,020 to 400,000)                  unknown",
            "all                                   10 (2 to 40)  24,000 (2,040 to 800,000)   $0.03 ($0.004 or more)",
        ];
        assert_eq!(table(&Forecast { steps, total, assumed: Vec::new() }), wanted);
    }
}
