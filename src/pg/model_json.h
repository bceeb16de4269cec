/*
 * model_json.h
 *		Models and scalers to JSON (model_print.c) and back (model_parse.c).
 *
 * kseg_model_parse() is in kseg.h, as the options need it too.
 */
#ifndef KSEG_MODEL_JSON_H
#define KSEG_MODEL_JSON_H

#include "kseg.h"

/* one line of text, palloc'd */
extern char *kseg_model_print(const KmModel *model);
extern char *kseg_scaler_print(const KmModel *scaler);

/* from a JSON object, palloc'd; raises on anything else */
extern KmModel *kseg_scaler_parse(const JsonbValue *json);

#endif							/* KSEG_MODEL_JSON_H */
